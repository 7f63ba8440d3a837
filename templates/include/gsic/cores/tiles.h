// Products of tiles of f32, f16 and bf16 with 1 to 16 columns: the core of TileMatrix.
#ifndef GSIC_CORES_TILES_H
#define GSIC_CORES_TILES_H

#include "gsic/tiles.h"

namespace gsic {

/// Adds the products of a tile's blocks with one column of x to `sum`, [row].
template <class W>
inline void add_products(const uint8_t *place, int blocks, const float *x, f32x16 (&sum)[kTileRows]) {
  constexpr int bytes = kTileRows * W::bytes;
  for (const uint8_t *const end = place + blocks * bytes; place < end; place += bytes, x += kBlock)
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
      const f32x16 value = load(x + half * kLanes);
#pragma GCC unroll 4
      for (int row = 0; row < kTileRows; row++) {
        f32x16 w[2];
        W::decode(place + row * W::bytes, w);
        sum[row] = fma(w[half], value, sum[row]);
      }
    }
}

/// The same with C columns, and of one register of each vector alone, to `sum`, [column][row].
template <class W, int C>
inline void add_products(const uint8_t *place, int blocks, const float *const *x, int offset, int part,
                         f32_part (&sum)[C * kTileRows]) {
  constexpr int bytes = kTileRows * W::bytes;
  offset += kPartLanes * part;
  static_assert(kWrittenColumns == 0 || kTilePrefetch == 2048, "as avx2_tiles.h has it");
  if constexpr (C == kWrittenColumns)
    return add_written(static_cast<const W *>(nullptr), place, blocks, x, offset, part, sum);
  for (const uint8_t *const end = place + blocks * bytes; place < end; place += bytes) {
    if (part == 0)
      for (int line = 0; line < bytes; line += 64) prefetch(place + kTilePrefetch + line);
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
      f32_part value[C];
#pragma GCC unroll 8
      for (int c = 0; c < C; c++) value[c] = load_part(x[c] + offset + half * kLanes);
#pragma GCC unroll 4
      for (int row = 0; row < kTileRows; row++) {
        f32_part w[2];
        W::decode_part(place + row * W::bytes, part, w);
#pragma GCC unroll 8
        for (int c = 0; c < C; c++) sum[c * kTileRows + row] = fma(w[half], value[c], sum[c * kTileRows + row]);
      }
    }
    offset += kBlock;
  }
}

/// The same of all registers. AVX2 reads a tile twice, from a near cache: so it has room for the sums of four rows and
/// three columns.
template <class W, int C>
inline void add_products(const uint8_t *place, int blocks, const float *const *x, int offset,
                         f32x16 (&sum)[C * kTileRows]) {
#pragma GCC unroll 2
  for (int part = 0; part < kParts; part++) {
    f32_part own[C * kTileRows];
#pragma GCC unroll 32
    for (int i = 0; i < C * kTileRows; i++) own[i] = part_of(sum[i], part);
    add_products<W, C>(place, blocks, x, offset, part, own);
#pragma GCC unroll 32
    for (int i = 0; i < C * kTileRows; i++) set_part(sum[i], part, own[i]);
  }
}

/// A tile's part in a segment, times C columns; `saved` are its sums between two segments. y is [column][kRunRows].
template <class W, int Blocks, int C>
inline void multiply_tile(const uint8_t *place, const TileSegment &segment, const float *const *x, f32x16 *saved,
                          float *y) {
  const int blocks = Blocks > 0 ? Blocks : segment.blocks, offset = Blocks > 0 ? 0 : segment.offset;
  f32x16 sum[C * kTileRows];
#pragma GCC unroll 32
  for (int i = 0; i < C * kTileRows; i++) sum[i] = zero();
  if (Blocks == 0 && !segment.first)
#pragma GCC unroll 32
    for (int i = 0; i < C * kTileRows; i++) sum[i] = saved[i];
  if constexpr (C == 1)
    add_products<W>(place, blocks, x[0] + offset, sum);
  else
    add_products<W, C>(place, blocks, x, offset, sum);
  if (Blocks > 0 || segment.last)
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) reduce_four(sum + c * kTileRows, y + c * kRunRows);
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
    multiply_tile<W, Blocks, C>(place, segment, x, saved, results.y[first] + i * kTileRows);
}

/// In register blocks of about the same number of columns.
template <class W, int Blocks> void TileCore<W, Blocks>::multiply(const TileSegment &segment, TileResults &results) {
  for (int first = 0, columns; first < segment.columns; first += columns) {
    columns = even_part(segment.columns - first, kTileColumns);
    multiply_tiles<W, Blocks, kTileColumns>(segment, first, columns, results);
  }
}

}  // namespace gsic

#endif
