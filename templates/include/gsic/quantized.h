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
/// How far ahead of its reads a tile of rows of d elements is prefetched, in bytes. For one column on a Zen 4, two
/// threads, weights in huge pages: rows of 576 to 2048 are read 1.1 to 1.4 times as fast as by the hardware's own
/// prefetching, rows of 4096 1.1 to 1.2 times at twice the distance.
constexpr int prefetch_distance(int columns, int d) { return columns == 1 && d >= 4096 ? 2048 : 1024; }

/// A matrix [Out, D] with, if K > 0, its A [Out, K].
template <int Out, int D, int Bits, int Group, bool Symmetric, int K = 0> struct Quantized {
  static_assert(Bits == 3 || Bits == 4 || Bits == 5 || Bits == 6 || Bits == 8, "3, 4, 5, 6 or 8 bits");
  static_assert(Group % kDotBlock == 0 && K % 4 == 0, "groups of whole blocks, k a multiple of 4");
  static constexpr int out = Out, d = D, bits = Bits, k = K;
  static constexpr bool symmetric = Symmetric;
  static constexpr int blocks = (D + kDotBlock - 1) / kDotBlock, blocks_per_group = Group / kDotBlock;
  static constexpr int groups = (D + Group - 1) / Group, tiles = (Out + kDotRows - 1) / kDotRows;
  static constexpr int64_t group_bytes = (int64_t(groups) * kDotRows + 63) / 64 * 64;
  static constexpr int64_t scales_at = 64, zeros_at = scales_at + group_bytes;
  static constexpr int64_t blocks_at = zeros_at + (Symmetric ? 0 : group_bytes), block_bytes = 64 * Bits;
  static constexpr int64_t a_at = blocks_at + blocks * block_bytes;
  static constexpr int64_t tile_bytes = a_at + (K > 0 ? 64 + kDotRows * K : 0);
  const uint8_t *data;

  explicit Quantized(const void *pointer) : data(static_cast<const uint8_t *>(pointer)) {}
  const uint8_t *tile(int index) const { return data + index * tile_bytes; }
};

/// Register J of q in a plane of Width bits, moved to bit To of each byte; the other bits are anything.
template <int Width, int J, int To> inline i32x16 from_plane(const uint8_t *plane) {
  return moved<To - J * Width % 8>(load_i32(plane + J * Width / 8 * 64));
}

/// Register J of a block.
template <int Bits, int J> inline i32x16 register_of(const uint8_t *block) {
  constexpr int lower = Bits == 8 ? 8 : Bits == 3 ? 2 : 4, upper = Bits - lower;
  const i32x16 q = from_plane<lower, J, 0>(block);
  if constexpr (lower == 8) {
    return q;
  } else {
    const i32x16 masked = bit_and(q, broadcast_i32(((1 << lower) - 1) * 0x01010101));
    if constexpr (upper == 0)
      return masked;
    else
      return or_masked(masked, from_plane<upper, J, lower>(block + 64 * lower),
                       broadcast_i32((((1 << upper) - 1) << lower) * 0x01010101));
  }
}

/// Adds registers J to Count - 1 of a block, times the quads from `quad` on, to the sums of C columns.
template <int Bits, int Count, int C, int D, int J = 0>
inline void dot_block(const uint8_t *block, const DotColumn<D> *const *x, int quad, DotSum (&sums)[C]) {
  if constexpr (J < Count) {
    const i32x16 q = register_of<Bits, J>(block);
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) dot(sums[c], q, x[c]->quads[quad + J]);
    dot_block<Bits, Count, C, D, J + 1>(block, x, quad, sums);
  }
}

/// row scale * the column's power of two * total.
inline f32x16 scaled(f32x16 total, const float (&factor)[2], const uint8_t *row_scales) {
  const f32x16 row = load(reinterpret_cast<const float *>(row_scales));
  return multiply(multiply(multiply(total, broadcast(factor[0])), row), broadcast(factor[1]));
}

/// The products of a tile's rows with C columns of x.
template <class M, int C> inline void dot_tile(const uint8_t *tile, const DotColumn<M::d> *const *x, f32x16 (&y)[C]) {
  f32x16 total[C];
  for (int c = 0; c < C; c++) total[c] = zero();
  const uint8_t *place = tile + M::blocks_at;
  for (int group = 0, block = 0; group < M::groups; group++) {
    const int begin = group * M::blocks_per_group, rest = M::blocks - begin;
    const int end = begin + (rest < M::blocks_per_group ? rest : M::blocks_per_group);
    const f32x16 scale = to_f32(load_i8(tile + M::scales_at + kDotRows * group));
    for (; block < end; block++, place += M::block_bytes) {
      prefetch_ahead<M::block_bytes, prefetch_distance(C, M::d)>(place);
      DotSum sums[C];
#pragma GCC unroll 8
      for (int c = 0; c < C; c++) {
        const i32x16 minus_sum = broadcast_i32(x[c]->minus_sums[block]);
        if constexpr (M::symmetric)
          sums[c] = dot_start(shift_left<M::bits - 1>(minus_sum));
        else
          sums[c] = dot_start(multiply_i32(load_u8(tile + M::zeros_at + kDotRows * group), minus_sum));
      }
      dot_block<M::bits, 8, C>(place, x, block * 8, sums);
#pragma GCC unroll 8
      for (int c = 0; c < C; c++)
        total[c] = fma(to_f32(dot_total(sums[c])), multiply(scale, broadcast(x[c]->scales[block])), total[c]);
    }
  }
  for (int c = 0; c < C; c++) y[c] = scaled(total[c], x[c]->factor, tile);
}

/// Adds A g to y: A is symmetric with 8 bits and row scales alone.
template <class M, int C>
inline void add_correction(const uint8_t *tile, const DotColumn<M::k> *const *g, f32x16 (&y)[C]) {
  const uint8_t *place = tile + M::a_at + 64;
  f32x16 total[C];
  for (int c = 0; c < C; c++) total[c] = zero();
  const auto add_block = [&](int block, auto count) {
    DotSum sums[C];
    for (int c = 0; c < C; c++) sums[c] = dot_start(shift_left<7>(broadcast_i32(g[c]->minus_sums[block])));
    dot_block<8, decltype(count)::value, C>(place + block * 512, g, block * 8, sums);
    for (int c = 0; c < C; c++) total[c] = fma(to_f32(dot_total(sums[c])), broadcast(g[c]->scales[block]), total[c]);
  };
  constexpr int whole = M::k / kDotBlock, rest = M::k % kDotBlock / 4;
  for (int block = 0; block < whole; block++) add_block(block, Count<8>());
  if constexpr (rest > 0) add_block(whole, Count<rest>());
  for (int c = 0; c < C; c++) y[c] = add(y[c], scaled(total[c], g[c]->factor, tile + M::a_at));
}

/// The columns of x as integers, and those of g = B^T x if K > 0. Every worker makes them for itself, on its stack:
/// 2.25 bytes an element and column (590 KB for 16 columns of 16384), of which only the columns in use are touched.
/// A barrier would cost more than the K products that each worker repeats.
template <int D, int K = 0> struct QuantizedInput {
  DotColumn<D> x[GSIC_MAX_COLUMNS];
  DotColumn<(K > 0 ? K : 1)> g[K > 0 ? GSIC_MAX_COLUMNS : 1];

  /// `value` is x, [16, stride_of(D)]; its elements beyond D are zero.
  QuantizedInput(const Columns &columns, const float *value) {
    for (int i = 0; i < columns.count; i++) x[columns.index[i]].set(value + columns.index[i] * stride_of(D));
  }
  /// The same, with g = B^T x.
  QuantizedInput(const Columns &columns, const float *value, Quantized<K, D, 8, 64, true> basis);
};

/// Results of a tile, for the columns of a pass: [column][row].
struct TileResult {
  float y[GSIC_MAX_COLUMNS][kDotRows];
};

template <class M, int C, int K>
inline void tile_columns(const uint8_t *tile, const Columns &columns, int first, const QuantizedInput<M::d, K> &input,
                         TileResult &result) {
  const DotColumn<M::d> *x[C];
  for (int c = 0; c < C; c++) x[c] = &input.x[columns.index[first + c]];
  f32x16 y[C];
  dot_tile<M, C>(tile, x, y);
  if constexpr (M::k > 0) {
    static_assert(M::k == K, "the input has another k than the matrix");
    const DotColumn<K> *g[C];
    for (int c = 0; c < C; c++) g[c] = &input.g[columns.index[first + c]];
    add_correction<M, C>(tile, g, y);
  }
  for (int c = 0; c < C; c++) store(result.y[first + c], y[c]);
}

/// The columns from `first` on, in register blocks of C columns and then of fewer; the tile stays in a near cache.
template <int C, class M, int K>
inline void tile_product(const uint8_t *tile, const Columns &columns, int first, const QuantizedInput<M::d, K> &input,
                         TileResult &result) {
  for (; first + C <= columns.count; first += C) tile_columns<M, C>(tile, columns, first, input, result);
  if constexpr (C > 1) tile_product<C / 2, M>(tile, columns, first, input, result);
}

/// y = Q x + A g for this worker's share of the rows; `store(row, column, value)` receives every element once.
template <class M, int K, class Store>
inline void multiply(const gsic_worker &worker, M matrix, const Columns &columns, const QuantizedInput<M::d, K> &input,
                     Store store) {
  const Range tiles = share(worker, M::tiles);
  TileResult result;
  for (int tile = tiles.begin; tile < tiles.end; tile++) {
    tile_product<kDotColumns, M>(matrix.tile(tile), columns, 0, input, result);
    const int first = tile * kDotRows, rows = M::out - first < kDotRows ? M::out - first : kDotRows;
    for (int c = 0; c < columns.count; c++)
      for (int row = 0; row < rows; row++) store(first + row, columns.index[c], result.y[c][row]);
  }
}

/// Two matrices with the same rows and columns on the same input: `store(row, column, first, second)`.
template <class A, class B, int K, class Store>
inline void multiply_pair(const gsic_worker &worker, A first, B second, const Columns &columns,
                          const QuantizedInput<A::d, K> &input, Store store) {
  static_assert(A::out == B::out && A::d == B::d, "a pair has one shape");
  const Range tiles = share(worker, A::tiles);
  TileResult a, b;
  for (int tile = tiles.begin; tile < tiles.end; tile++) {
    tile_product<kDotColumns, A>(first.tile(tile), columns, 0, input, a);
    tile_product<kDotColumns, B>(second.tile(tile), columns, 0, input, b);
    const int begin = tile * kDotRows, rows = A::out - begin < kDotRows ? A::out - begin : kDotRows;
    for (int c = 0; c < columns.count; c++)
      for (int row = 0; row < rows; row++) store(begin + row, columns.index[c], a.y[c][row], b.y[c][row]);
  }
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
  for (int i = 0; i < columns.count; i++) g[columns.index[i]].set(projected + columns.index[i] * stride_of(K));
}

}  // namespace gsic

#endif
