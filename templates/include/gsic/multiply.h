// y = W x for 1 to 16 columns, batch-invariant: one column is added up in the same order however many run together.
//
// A matrix [Out, D] is packed in tiles of four rows; a tile holds, block by block along D, the four rows' blocks one
// after another, so a worker reads one contiguous stream. Missing rows and the columns beyond D are zero.
#ifndef GSIC_MULTIPLY_H
#define GSIC_MULTIPLY_H

#include "gsic/weights.h"
#include "gsic/work.h"

namespace gsic {

constexpr int kTileRows = 4;

template <class W, int Out, int D> struct Matrix {
  using type = W;
  static constexpr int out = Out, d = D;
  static constexpr int blocks = (D + W::elements - 1) / W::elements;
  static constexpr int tiles = (Out + kTileRows - 1) / kTileRows;
  static constexpr int64_t tile_bytes = int64_t(blocks) * kTileRows * W::bytes;
  const uint8_t *data;

  explicit Matrix(const void *pointer) : data(static_cast<const uint8_t *>(pointer)) {}
  const uint8_t *tile(int index) const { return data + index * tile_bytes; }
};

/// The dot products of a tile's four rows with C columns of x.
template <class M, int C>
inline void multiply_tile(const uint8_t *tile, const float *const *x, float (*y)[kTileRows]) {
  using W = typename M::type;
  f32x16 sum[C * kTileRows];
  for (int i = 0; i < C * kTileRows; i++) sum[i] = zero();
  int offset = 0;
  for (int block = 0; block < M::blocks; block++, tile += kTileRows * W::bytes) {
#pragma GCC unroll 2
    for (int step = 0; step < W::steps; step++, offset += 32) {
#pragma GCC unroll 4
      for (int row = 0; row < kTileRows; row++) {
        f32x16 w[2];
        W::decode(tile + row * W::bytes, step, w);
#pragma GCC unroll 4
        for (int c = 0; c < C; c++) {
          f32x16 &total = sum[c * kTileRows + row];
          total = fma(w[0], load(x[c] + offset), total);
          total = fma(w[1], load(x[c] + offset + 16), total);
        }
      }
    }
  }
  if constexpr (C * kTileRows == kLanes) {
    store(y[0], reduce_each(sum));
  } else {
    for (int i = 0; i < C * kTileRows; i++) y[i / kTileRows][i % kTileRows] = reduce(sum[i]);
  }
}

/// The same for any number of columns, a register block at a time; the tile stays in the first-level cache.
template <class M>
inline void multiply_tile(const uint8_t *tile, const float *const *x, int count, float (*y)[kTileRows]) {
  int c = 0;
  for (; c + kColumnBlock <= count; c += kColumnBlock) multiply_tile<M, kColumnBlock>(tile, x + c, y + c);
  if constexpr (kColumnBlock > 2)
    for (; c + 2 <= count; c += 2) multiply_tile<M, 2>(tile, x + c, y + c);
  for (; c < count; c++) multiply_tile<M, 1>(tile, x + c, y + c);
}

/// Pointers to the rows of `x` that belong to `columns`.
struct Inputs {
  const float *x[GSIC_MAX_COLUMNS];
  Inputs(const Columns &columns, const float *value, int stride) {
    for (int i = 0; i < columns.count; i++) x[i] = value + columns.index[i] * stride;
  }
};

/// y = W x; `store(row, column, value)` receives every output element once.
template <class M, class Store>
inline void multiply(const gsic_worker &worker, M matrix, const Columns &columns, const float *x, Store store) {
  if (columns.count == 0) return;
  const Inputs inputs(columns, x, stride_of(M::d));
  const Range tiles = share(worker, M::tiles);
  float y[GSIC_MAX_COLUMNS][kTileRows];
  for (int tile = tiles.begin; tile < tiles.end; tile++) {
    multiply_tile<M>(matrix.tile(tile), inputs.x, columns.count, y);
    for (int c = 0; c < columns.count; c++)
      for (int row = 0; row < kTileRows; row++)
        if (tile * kTileRows + row < M::out) store(tile * kTileRows + row, columns.index[c], y[c][row]);
  }
}

/// Two matrices of the same shape on the same input: `store(row, column, first, second)`.
template <class A, class B, class Store>
inline void multiply_pair(const gsic_worker &worker, A first, B second, const Columns &columns, const float *x,
                          Store store) {
  static_assert(A::out == B::out && A::d == B::d, "a pair has one shape");
  if (columns.count == 0) return;
  const Inputs inputs(columns, x, stride_of(A::d));
  const Range tiles = share(worker, A::tiles);
  float a[GSIC_MAX_COLUMNS][kTileRows], b[GSIC_MAX_COLUMNS][kTileRows];
  for (int tile = tiles.begin; tile < tiles.end; tile++) {
    multiply_tile<A>(first.tile(tile), inputs.x, columns.count, a);
    multiply_tile<B>(second.tile(tile), inputs.x, columns.count, b);
    for (int c = 0; c < columns.count; c++)
      for (int row = 0; row < kTileRows; row++)
        if (tile * kTileRows + row < A::out)
          store(tile * kTileRows + row, columns.index[c], a[c][row], b[c][row]);
  }
}

}  // namespace gsic

#endif
