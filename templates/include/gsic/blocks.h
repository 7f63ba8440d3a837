// Matrices of block types, GGUF's and quantised checkpoints': tiles of sixteen rows, and their products with 1 to 16
// columns in f32.
//
// A tile has one row in each lane. It holds, superblock by superblock along D: the scales of the superblock, and for
// each step, 32 elements, the scales of the step and the elements, in planes:
//   nibbles  4 words of 32 bits a row; byte b of word w has element 4 w + b in its lower half, 16 + 4 w + b in its
//            upper one, so that nibble n of the word is element 16 (n mod 2) + 4 w + n / 2
//   fifths   the fifth bit of nibble n of word w in bit 4 n + w of one word a row
//   sixths   the upper two bits of nibble n of word w in bits 4 n + 2 (w mod 2) and up of word w / 2 of two
//   bytes    32 times one byte of every row
// Missing rows are zero.
//
//   (W x)[r] = sum_group scale[r] sum_j q[r][j] x[j] + minimum[r] sum_j x[j]
//
// Of integers, nibble n below 7 is not moved down before it becomes a number: 16^n q meets 16^-n x, which is exact.
#ifndef GSIC_BLOCKS_H
#define GSIC_BLOCKS_H

#include "gsic/exponent.h"
#include "gsic/float_tables.h"
#include "gsic/tiles.h"

namespace gsic {

constexpr int kBlockRows = kLanes;
/// Rows that are as long as this are prefetched, so far ahead, since the activations that they meet crowd the
/// first-level cache: q4_1 and rows of 4096 are read 1.06 times as fast on a Zen 4.
constexpr int kLongRow = 2048, kLongPrefetch = 2048;

template <int N> struct Count {
  static constexpr int value = N;
};

/// The bits of a register moved up by By, or down where By is negative.
template <int By> inline i32x16 moved(i32x16 a) {
  if constexpr (By > 0) return shift_left<By>(a);
  if constexpr (By < 0) return shift_right<-By>(a);
  return a;
}

// ------------------------------------------------------------------------------------------------------ elements

// A kind of elements has the `bits` of one, `position_scale`, which is the power of two that element j's activation is
// multiplied with, and, divided by it, either `byte`, an element of sixteen rows, or `nibble`, that of nibble N of
// words number W of a step, with its upper bits.

/// Integers; signed ones where they have 8 bits.
template <int Bits> struct Whole {
  static constexpr int bits = Bits;
  static constexpr float position_scale(int j) {
    const int nibble = j % 16 % 4 * 2 + j / 16;
    return Bits == 8 || nibble == 7 ? 1.0f : 1.0f / float(1 << 4 * nibble);
  }
  static inline f32x16 byte(const uint8_t *p) { return to_f32(load_i8(p)); }
  template <int W, int N> static inline f32x16 nibble(i32x16 word, const uint8_t *upper) {
    constexpr int extra = Bits - 4, to = N == 7 ? 4 : 4 * N + 4, down = N == 7 ? 28 : 0;
    i32x16 q = N == 7 ? shift_right<28>(word) : bit_and(word, broadcast_i32(15 << 4 * N));
    if constexpr (extra > 0) {
      constexpr int from = extra == 1 ? W : W % 2 * 2;
      const i32x16 bits = moved<4 - down - from>(load_i32(upper + (extra == 1 ? 0 : W / 2 * 64)));
      q = or_masked(q, bits, broadcast_i32(((1 << extra) - 1) << to));
    }
    return to_f32(q);
  }
};

/// FP8 E4M3: four bits of exponent and three of fraction. No element is NaN.
struct E4m3 {
  static constexpr int bits = 8;
  static constexpr float position_scale(int) { return 256.0f; }
  static inline f32x16 byte(const uint8_t *p) { return load_e4m3(p); }
};

/// Numbers of a table of sixteen.
template <class Table> struct Tabled {
  static constexpr int bits = 4;
  static constexpr float position_scale(int) { return 1.0f; }
  template <int, int N> static inline f32x16 nibble(i32x16 word, const uint8_t *) {
    return look_up(Table::values, shift_right<4 * N>(word));
  }
};

/// Calls each(Count<j>, q) for the elements of a step from number I on, each divided by its `position_scale`.
template <class Elements, int I = 0, class Each> inline void each_element(const uint8_t *planes, Each each) {
  if constexpr (I < kBlock) {
    if constexpr (Elements::bits == 8) {
      each(Count<I>(), Elements::byte(planes + kBlockRows * I));
    } else {
      constexpr int w = I / 8, n = I % 8;
      const i32x16 word = load_i32(planes + 64 * w);
      each(Count<n % 2 * 16 + 4 * w + n / 2>(), Elements::template nibble<w, n>(word, planes + 256));
    }
    each_element<Elements, I + 1>(planes, each);
  }
}

// -------------------------------------------------------------------------------------------------------- scales
// A kind of scales has `steps` of a superblock, `header` bytes of a superblock, `bytes` and `groups` of a step, and
// `load`, which gives every group's scale and, where there `has_minimum`, its minimum.

inline f32x16 load_signed(const uint8_t *p) { return to_f32(load_i8(p)); }
inline f32x16 load_unsigned(const uint8_t *p) { return to_f32(load_u8(p)); }

/// w = d (q - Zero): f16 d.
template <int Zero> struct Scaled {
  static constexpr int steps = 1, header = 32, bytes = 0, groups = 1;
  static constexpr bool has_minimum = Zero != 0;
  static inline void load(const uint8_t *header, const uint8_t *, f32x16 (&scale)[1], f32x16 (&minimum)[1]) {
    scale[0] = load_f16(header);
    minimum[0] = multiply(scale[0], broadcast(-float(Zero)));
  }
};

/// w = d q + m: f16 d, f16 m.
struct ScaledFrom {
  static constexpr int steps = 1, header = 64, bytes = 0, groups = 1;
  static constexpr bool has_minimum = true;
  static inline void load(const uint8_t *header, const uint8_t *, f32x16 (&scale)[1], f32x16 (&minimum)[1]) {
    scale[0] = load_f16(header);
    minimum[0] = load_f16(header + 32);
  }
};

/// w = d s q - e m: f16 d and e for 256 elements, s and m of 6 bits for 32.
struct ScaledTwice {
  static constexpr int steps = 8, header = 64, bytes = 32, groups = 1;
  static constexpr bool has_minimum = true;
  static inline void load(const uint8_t *header, const uint8_t *step, f32x16 (&scale)[1], f32x16 (&minimum)[1]) {
    scale[0] = multiply(load_f16(header), load_unsigned(step));
    minimum[0] = multiply(multiply(load_f16(header + 32), broadcast(-1.0f)), load_unsigned(step + 16));
  }
};

/// w = d s (q - 32): f16 d for 256 elements, i8 s for 16.
struct ScaledBySixteen {
  static constexpr int steps = 8, header = 32, bytes = 32, groups = 2;
  static constexpr bool has_minimum = true;
  static inline void load(const uint8_t *header, const uint8_t *step, f32x16 (&scale)[2], f32x16 (&minimum)[2]) {
    for (int half = 0; half < 2; half++) {
      scale[half] = multiply(load_f16(header), load_signed(step + 16 * half));
      minimum[half] = multiply(scale[half], broadcast(-32.0f));
    }
  }
};

/// w = d (q + Less - z) for Steps steps: a word with d, an f32 of 10 bits of fraction, above 13 bits of z. Less is what
/// stored integers are less than those that z belongs to.
template <int Steps, int Less> struct ScaledFromZero {
  static constexpr int steps = Steps, header = 64, bytes = 0, groups = 1;
  static constexpr bool has_minimum = true;
  static inline void load(const uint8_t *header, const uint8_t *, f32x16 (&scale)[1], f32x16 (&minimum)[1]) {
    const i32x16 word = load_i32(header);
    scale[0] = as_f32(bit_and(word, broadcast_i32(~8191)));
    const f32x16 zero = to_f32(bit_and(word, broadcast_i32(8191)));
    minimum[0] = multiply(scale[0], fma(zero, broadcast(-1.0f), broadcast(float(Less))));
  }
};

/// w = d q: f32 d for Steps steps.
template <int Steps> struct ScaledByFloat {
  static constexpr int steps = Steps, header = 64, bytes = 0, groups = 1;
  static constexpr bool has_minimum = false;
  static inline void load(const uint8_t *header, const uint8_t *, f32x16 (&scale)[1], f32x16 (&)[1]) {
    scale[0] = as_f32(load_i32(header));
  }
};

template <class Elements, class Scales> struct Block {
  static constexpr int bits = Elements::bits;
  using elements = Elements;
  using scales = Scales;
};
using q4_0 = Block<Whole<4>, Scaled<8>>;
using q4_1 = Block<Whole<4>, ScaledFrom>;
using q5_0 = Block<Whole<5>, Scaled<16>>;
using q5_1 = Block<Whole<5>, ScaledFrom>;
using q8_0 = Block<Whole<8>, Scaled<0>>;
using q4_k = Block<Whole<4>, ScaledTwice>;
using q5_k = Block<Whole<5>, ScaledTwice>;
using q6_k = Block<Whole<6>, ScaledBySixteen>;
using i4 = Block<Whole<4>, ScaledFromZero<1, 0>>;
using i4_128 = Block<Whole<4>, ScaledFromZero<4, 0>>;
using i8 = Block<Whole<8>, ScaledFromZero<1, 128>>;
using f8 = Block<E4m3, ScaledByFloat<1>>;
using f8_128 = Block<E4m3, ScaledByFloat<4>>;
using nf4 = Block<Tabled<NormalFloats>, ScaledByFloat<2>>;
using fp4 = Block<Tabled<FourBitFloats>, ScaledByFloat<2>>;

/// Bytes of a step and of a superblock of a type, of sixteen rows.
template <class W> constexpr int block_step_bytes() { return W::scales::bytes + kBlockRows * kBlock * W::bits / 8; }
template <class W> constexpr int block_super_bytes() {
  return W::scales::header + W::scales::steps * block_step_bytes<W>();
}
/// Bytes of a tile of so many blocks.
template <class W> constexpr int64_t block_tile_bytes(int blocks) {
  return int64_t(blocks / W::scales::steps) * block_super_bytes<W>();
}

/// Elements 32 block to 32 block + 31 of a row of a tile.
template <class W> inline void decode_block_row(const uint8_t *tile, int row, int block, f32x16 (&w)[2]) {
  using scales = typename W::scales;
  constexpr int steps = scales::steps, groups = scales::groups;
  const uint8_t *const super = tile + block / steps * block_super_bytes<W>();
  const uint8_t *const step = super + scales::header + block % steps * block_step_bytes<W>();
  f32x16 scale[groups], minimum[groups];
  scales::load(super, step, scale, minimum);
  float values[kBlock];
  each_element<typename W::elements>(step + scales::bytes, [&](auto j, f32x16 q) {
    constexpr int at = decltype(j)::value, group = at * groups / kBlock;
    const f32x16 whole = multiply(q, broadcast(W::elements::position_scale(at)));
    float lanes[kLanes];
    store(lanes, scales::has_minimum ? fma(scale[group], whole, minimum[group]) : multiply(scale[group], whole));
    values[at] = lanes[row % kBlockRows];
  });
  for (int half = 0; half < 2; half++) w[half] = load(values + kLanes * half);
}

/// Elements of a column of activations in the order of a matrix's columns, which says the input of each. A damaged
/// order leads to wrong numbers, not out of the column.
inline void in_order(const float *x, const int32_t *order, int d, float *to) {
  for (int i = 0; i < d; i++) to[i] = x[uint32_t(order[i]) < uint32_t(d) ? order[i] : 0];
}

template <class W, int Out, int D> struct BlockMatrix {
  using type = W;
  static constexpr int out = Out, d = D, tile_rows = kBlockRows;
  static constexpr bool ordered = false;
  static constexpr int blocks = D / kBlock;
  static constexpr int64_t tile_bytes = block_tile_bytes<W>(blocks);
  static_assert(D % (kBlock * W::scales::steps) == 0, "rows are whole blocks");
  const uint8_t *data;

  explicit BlockMatrix(const void *pointer) : data(static_cast<const uint8_t *>(pointer)) {}
  const uint8_t *tile(int index) const { return data + index * tile_bytes; }
  void decode_row(int row, int block, f32x16 (&w)[2]) const {
    decode_block_row<W>(tile(row / kBlockRows), row, block, w);
  }
};

/// A type whose columns lie in an order of their own: behind the tiles is the input of each.
template <class W> struct ordered {};

template <class W, int Out, int D> struct OrderedMatrix : BlockMatrix<W, Out, D> {
  using BlockMatrix<W, Out, D>::BlockMatrix;
  static constexpr bool ordered = true;
  const int32_t *order() const {
    return reinterpret_cast<const int32_t *>(this->tile((Out + kBlockRows - 1) / kBlockRows));
  }
};

// ------------------------------------------------------------------------------------------------------ products

/// A block of a column of activations: 2^-e x[j] times the `position_scale` of its place, and their sum without that
/// factor, for every group.
template <class W> struct BlockActivations {
  float sums[W::scales::groups];
  float x[kBlock];
};

/// One column of activations; e is such that the largest |2^-e x| is between 1 and 2. An element below 2^-126 of the
/// largest one may lose bits. A column with an element that is not finite has the factor NaN, so that all its products
/// are NaN.
template <class W> struct BlockColumn {
  float factor[2];  ///< The result is factor[1] (factor[0] sum): two factors, since their product may be no f32.
  BlockActivations<W> *blocks;
};

/// Tiles one after another. Without a shape in its type, so that all matrices of a type share the code.
struct BlockTiles {
  const uint8_t *place;  ///< the first tile
  int tiles, blocks;     ///< how many, of so many blocks each
};

/// The code of all matrices of a type whose rows have so many Blocks, or are longer (0), and Long or not:
/// cores/blocks.h. Portable kernels lose 4 % of their speed where the length of a short row is not known.
template <class W, int Blocks, bool Long> struct GSIC_CORE BlockCore {
  /// Fills a column from its `blocks` blocks of 32 activations.
  static void set(const float *from, int blocks, BlockColumn<W> &column);
  /// y[column * kRunRows + row], for 1 to 16 columns.
  static void multiply(const BlockTiles &tiles, const BlockColumn<W> *x, int columns, float *y);
};

/// The products of a run of rows with the columns of a pass; x is [16, stride_of(D)].
template <class M> class BlockProduct {
 public:
  using Core = BlockCore<typename M::type, (M::d <= kSegment ? M::blocks : 0), (M::d >= kLongRow)>;

  BlockProduct(const M &matrix, const Columns &columns, const float *x) : columns_(columns.count) {
    [[maybe_unused]] float ordered[M::ordered ? M::d : 1];
    for (int i = 0; i < columns.count; i++) {
      const float *from = x + columns.index[i] * stride_of(M::d);
      if constexpr (M::ordered) {
        in_order(from, matrix.order(), M::d, ordered);
        from = ordered;
      }
      x_[i].blocks = blocks_[i];
      Core::set(from, M::blocks, x_[i]);
    }
  }
  /// `first` begins a tile; at most kRunRows rows.
  void run(M matrix, int first, int rows) {
    const int tiles = (rows + kBlockRows - 1) / kBlockRows;
    Core::multiply({matrix.tile(first / kBlockRows), tiles, M::blocks}, x_, columns_, y_[0]);
  }
  /// Row `row` of the last run, column number c.
  float at(int c, int row) const { return y_[c][row]; }

 private:
  int columns_;
  BlockColumn<typename M::type> x_[GSIC_MAX_COLUMNS];
  BlockActivations<typename M::type> blocks_[GSIC_MAX_COLUMNS][M::blocks];
  float y_[GSIC_MAX_COLUMNS][kRunRows];
};

}  // namespace gsic

#if !defined(GSIC_CORES_APART)
#include "gsic/cores/blocks.h"
#endif

#endif
