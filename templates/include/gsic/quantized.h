// y = Q x + A (B^T x) of the tiered form: Q at 3, 4, 5, 6 or 8 bits, A at 8 bits, in exact integer dot products.
//
//   (Q x)[r] = rowScales[r] sum_g scales[r][g] sum_block 2^e_block sum_c (q[r][c] - zero[r][g]) n[c]
//
// with x as in activations.h. A block is 32 columns; the innermost sum is exact, each block adds to the outer one
// with a single fma, and no order depends on how many columns or workers there are.
//
// A matrix is packed in tiles of sixteen rows, one in each lane; a tile is one stream, everything on 64 bytes:
//   row scales     16 f32
//   group scales   16 i8 a group
//   zeros          16 u8 a group, if not symmetric
//   blocks         64 Bits bytes each, below
//   A              16 f32 row scales, then K / 4 registers of a + 128 as u8; if K > 0
// A block is eight registers of q: register j has columns 4 j to 4 j + 3 of the block in the four bytes of each lane.
// They lie in planes of some bits of each: 8 bits as one plane, 4 as one, 5 as the lower 4 and the fifth, 6 as the
// lower 4 and the upper 2, 3 as the lower 2 and the third. A plane of w bits has w registers; register j of q is in
// bits (j w) mod 8 and up of the bytes of number floor(j w / 8).
// Missing rows, and columns beyond D, are zero.
#ifndef GSIC_QUANTIZED_H
#define GSIC_QUANTIZED_H

#include "gsic/activations.h"
#include "gsic/blocks.h"

namespace gsic {

constexpr int kDotRows = kLanes;
/// Where the group scales of a tile begin.
constexpr int kDotScalesAt = 64;
/// Most tiles of a run: what is multiplied with all columns before the results are stored.
constexpr int kDotRun = 8;

/// A matrix [Out, D] with, if K > 0, its A [Out, K].
template <int Out, int D, int Bits, int Group, bool Symmetric, int K = 0> struct Quantized {
  static_assert(Bits == 3 || Bits == 4 || Bits == 5 || Bits == 6 || Bits == 8, "3, 4, 5, 6 or 8 bits");
  static_assert(Group == 32 || Group == 64 || Group == 128, "groups of 32, 64 or 128 columns");
  static_assert(K % 4 == 0, "k is a multiple of 4");
  static constexpr int out = Out, d = D, bits = Bits, k = K;
  static constexpr bool symmetric = Symmetric;
  static constexpr int blocks = (D + kDotBlock - 1) / kDotBlock, group_shift = Group / kDotBlock / 2;
  static constexpr int groups = (D + Group - 1) / Group, tiles = (Out + kDotRows - 1) / kDotRows;
  static constexpr int64_t group_bytes = (int64_t(groups) * kDotRows + 63) / 64 * 64;
  static constexpr int64_t zeros_at = kDotScalesAt + group_bytes;
  static constexpr int64_t blocks_at = zeros_at + (Symmetric ? 0 : group_bytes), block_bytes = 64 * Bits;
  static constexpr int64_t a_at = blocks_at + blocks * block_bytes;
  static constexpr int64_t tile_bytes = a_at + (K > 0 ? 64 + kDotRows * K : 0);
  const uint8_t *data;

  explicit Quantized(const void *pointer) : data(static_cast<const uint8_t *>(pointer)) {}
  const uint8_t *tile(int index) const { return data + index * tile_bytes; }
};

/// Tiles one after another, and how one lies, in bytes. Without a shape in its type, so that all matrices of so many
/// bits share the code.
struct DotTiles {
  const uint8_t *place;  ///< the first tile
  int64_t bytes;
  int zeros_at, blocks_at, a_at;
  int tiles, blocks;
  int group_shift;  ///< a group is 2^group_shift blocks
  int k;            ///< columns of A; 0: none
};

/// The columns that tiles meet, those of x and of g = B^T x.
struct DotInput {
  int count;
  const DotColumn *x[GSIC_MAX_COLUMNS], *g[GSIC_MAX_COLUMNS];
};

/// Results of a run of tiles: [column][row].
struct DotResult {
  float y[GSIC_MAX_COLUMNS][kDotRun * kDotRows];
};

/// The code of all matrices of so many bits: cores/dots.h.
template <int Bits, bool Symmetric> struct GSIC_CORE DotCore {
  static void multiply(const DotTiles &tiles, const DotInput &input, DotResult &result);
};

/// The columns of x as integers, and those of g = B^T x if K > 0. Every worker makes them for itself, on its stack:
/// 2.25 bytes an element and column (590 KB for 16 columns of 16384), of which only the columns in use are touched.
/// A barrier would cost more than the K products that each worker repeats.
template <int D, int K = 0> class QuantizedInput {
 public:
  /// `value` is x, [16, stride_of(D)]; its elements beyond D are zero.
  QuantizedInput(const Columns &columns, const float *value) {
    for (int i = 0; i < columns.count; i++) {
      const int column = columns.index[i];
      x_[column].blocks = x_blocks_[column];
      ActivationCore<kDotBlock>::set(value + column * stride_of(D), blocks_of(D), x_[column]);
    }
  }
  /// The same, with g = B^T x.
  QuantizedInput(const Columns &columns, const float *value, Quantized<K, D, 8, 64, true> basis);

  DotInput of(const Columns &columns) const {
    DotInput input;
    input.count = columns.count;
    for (int i = 0; i < columns.count; i++) {
      input.x[i] = x_ + columns.index[i];
      if constexpr (K > 0) input.g[i] = g_ + columns.index[i];
    }
    return input;
  }

 private:
  static constexpr int blocks_of(int width) { return (width + kDotBlock - 1) / kDotBlock; }

  DotColumn x_[GSIC_MAX_COLUMNS], g_[K > 0 ? GSIC_MAX_COLUMNS : 1];
  DotBlock x_blocks_[GSIC_MAX_COLUMNS][blocks_of(D)];
  DotBlock g_blocks_[K > 0 ? GSIC_MAX_COLUMNS : 1][blocks_of(K > 0 ? K : 1)];
};

/// Multiplies a run of `count` tiles from number `first` on.
template <class M> inline void multiply_run(M matrix, int first, int count, const DotInput &input, DotResult &result) {
  DotCore<M::bits, M::symmetric>::multiply(
      {matrix.tile(first), M::tile_bytes, M::zeros_at, M::blocks_at, M::a_at, count, M::blocks, M::group_shift, M::k},
      input, result);
}

/// Calls `each(first, count)` for runs of this worker's share of the tiles.
template <class M, class Each> inline void for_each_tile_run(const gsic_worker &worker, Each each) {
  const Range tiles = share(worker, M::tiles);
  for (int first = tiles.begin, count; first < tiles.end; first += count) {
    count = tiles.end - first < kDotRun ? tiles.end - first : kDotRun;
    each(first, count);
  }
}

/// Rows of a matrix in a run.
template <class M> inline int rows_of(int first, int count) {
  const int rows = M::out - first * kDotRows;
  return rows < count * kDotRows ? rows : count * kDotRows;
}

/// y = Q x + A g for this worker's share of the rows; `store(row, column, value)` receives every element once.
template <class M, int K, class Store>
inline void multiply(const gsic_worker &worker, M matrix, const Columns &columns, const QuantizedInput<M::d, K> &input,
                     Store store) {
  static_assert(M::k == 0 || M::k == K, "the input has another k than the matrix");
  const DotInput of = input.of(columns);
  DotResult result;
  for_each_tile_run<M>(worker, [&](int first, int count) {
    multiply_run(matrix, first, count, of, result);
    const int begin = first * kDotRows, rows = rows_of<M>(first, count);
    for (int c = 0; c < columns.count; c++)
      for (int row = 0; row < rows; row++) store(begin + row, columns.index[c], result.y[c][row]);
  });
}

/// Two matrices with the same rows and columns on the same input: `store(row, column, first, second)`.
template <class A, class B, int K, class Store>
inline void multiply_pair(const gsic_worker &worker, A a, B b, const Columns &columns,
                          const QuantizedInput<A::d, K> &input, Store store) {
  static_assert(A::out == B::out && A::d == B::d, "a pair has one shape");
  static_assert((A::k == 0 || A::k == K) && (B::k == 0 || B::k == K), "the input has another k than the matrix");
  const DotInput of = input.of(columns);
  DotResult gate, up;
  for_each_tile_run<A>(worker, [&](int first, int count) {
    multiply_run(a, first, count, of, gate);
    multiply_run(b, first, count, of, up);
    const int begin = first * kDotRows, rows = rows_of<A>(first, count);
    for (int c = 0; c < columns.count; c++)
      for (int row = 0; row < rows; row++) store(begin + row, columns.index[c], gate.y[c][row], up.y[c][row]);
  });
}

/// The whole product by one worker, for what every worker needs by itself: y[column * stride + row].
template <class M, int K>
inline void multiply_whole(M matrix, const Columns &columns, const QuantizedInput<M::d, K> &input, float *y,
                           int stride) {
  const gsic_worker alone = {0, 1, nullptr, 0};
  multiply(alone, matrix, columns, input, [=](int row, int column, float value) { y[column * stride + row] = value; });
}

template <int D, int K>
QuantizedInput<D, K>::QuantizedInput(const Columns &columns, const float *value, Quantized<K, D, 8, 64, true> basis)
    : QuantizedInput(columns, value) {
  static_assert(K > 0, "a basis without columns");
  float projected[GSIC_MAX_COLUMNS * stride_of(K)] = {};
  multiply_whole(basis, columns, *this, projected, stride_of(K));
  for (int i = 0; i < columns.count; i++) {
    const int column = columns.index[i];
    g_[column].blocks = g_blocks_[column];
    ActivationCore<kDotBlock>::set(projected + column * stride_of(K), blocks_of(K), g_[column]);
  }
}

}  // namespace gsic

#if !defined(GSIC_CORES_APART)
#include "gsic/cores/dots.h"
#endif

#endif
