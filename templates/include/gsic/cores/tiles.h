// Products of tiles of f32, f16 and bf16 with 1 to 16 columns: the core of TileMatrix.
#ifndef GSIC_CORES_TILES_H
#define GSIC_CORES_TILES_H

#include "gsic/tiles.h"

namespace gsic {

/// Adds the products of `blocks` blocks of a tile's first Rows rows with C columns of x to `sum`, [column][row].
template <class W, int C, int Rows>
inline void multiply_rows(const uint8_t *place, int blocks, const float *const *x, int offset, bool ahead,
                          f32x16 *sum) {
  constexpr int bytes = kTileRows * W::bytes;
  for (const uint8_t *const end = place + blocks * bytes; place < end; place += bytes) {
    if (C > 1 && ahead)
      for (int line = 0; line < bytes; line += 64) prefetch(place + kTilePrefetch + line);
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
      f32x16 value[C];
#pragma GCC unroll 8
      for (int c = 0; c < C; c++) value[c] = load(x[c] + offset + half * kLanes);
#pragma GCC unroll 4
      for (int row = 0; row < Rows; row++) {
        f32x16 w[2];
        W::decode(place + row * W::bytes, w);
#pragma GCC unroll 8
        for (int c = 0; c < C; c++) sum[c * kTileRows + row] = fma(w[half], value[c], sum[c * kTileRows + row]);
      }
    }
    offset += kBlock;
  }
}

/// The same for all rows. AVX2 holds the sums of four rows and one column, or of two and two: with two columns it takes
/// half of the rows at a time, which reads a tile twice from a near cache in three quarters of the time.
template <class W, int C>
inline void multiply_blocks(const uint8_t *place, int blocks, const float *const *x, int offset,
                            f32x16 (&sum)[C * kTileRows]) {
  constexpr int rows = C == 2 && kColumnBlock == 2 ? 2 : kTileRows;
#pragma GCC unroll 2
  for (int row = 0; row < kTileRows; row += rows)
    multiply_rows<W, C, rows>(place + row * W::bytes, blocks, x, offset, row == 0, sum + row);
}

/// A tile's part in a segment, times C columns; `saved` are its sums between two segments.
template <class W, int Blocks, int C>
inline void multiply_tile(const uint8_t *place, const TileSegment &segment, const float *const *x, f32x16 *saved,
                          float (*y)[kTileRows]) {
  f32x16 sum[C * kTileRows];
#pragma GCC unroll 32
  for (int i = 0; i < C * kTileRows; i++) sum[i] = zero();
  if (Blocks == 0 && !segment.first)
#pragma GCC unroll 32
    for (int i = 0; i < C * kTileRows; i++) sum[i] = saved[i];
  multiply_blocks<W, C>(place, Blocks > 0 ? Blocks : segment.blocks, x, Blocks > 0 ? 0 : segment.offset, sum);
  if (Blocks > 0 || segment.last)
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) reduce_four(sum + c * kTileRows, y[c]);
  else
#pragma GCC unroll 32
    for (int i = 0; i < C * kTileRows; i++) saved[i] = sum[i];
}

/// All tiles of a segment, times `columns` of the columns, at most C.
template <class W, int Blocks, int C>
inline void multiply_tiles(TileSegment segment, int first, int columns, TileResults &results) {
  if constexpr (C > 1) {
    if (columns < C) return multiply_tiles<W, Blocks, C - 1>(segment, first, columns, results);
  }
  const float *x[C];
#pragma GCC unroll 8
  for (int c = 0; c < C; c++) x[c] = segment.x[first + c];
  const uint8_t *place = segment.place;
  const int64_t bytes = int64_t(Blocks > 0 ? Blocks : segment.blocks) * kTileRows * W::bytes;
  f32x16 *saved = results.sums + first * kTileRows;
  for (int i = 0; i < segment.tiles; i++, place += bytes, saved += segment.columns * kTileRows)
    multiply_tile<W, Blocks, C>(place, segment, x, saved, results.y[i] + first);
}

/// In register blocks of about the same number of columns.
template <class W, int Blocks> void TileCore<W, Blocks>::multiply(const TileSegment &segment, TileResults &results) {
  int first = 0;
  for (int parts = (segment.columns + kColumnBlock - 1) / kColumnBlock; parts > 0; parts--) {
    const int columns = (segment.columns - first + parts - 1) / parts;
    multiply_tiles<W, Blocks, kColumnBlock>(segment, first, columns, results);
    first += columns;
  }
}

}  // namespace gsic

#endif
