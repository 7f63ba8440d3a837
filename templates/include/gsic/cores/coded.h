// Products of coded tiles of bf16 with 1 to 16 columns: the core of CodedMatrix.
#ifndef GSIC_CORES_CODED_H
#define GSIC_CORES_CODED_H

#include "gsic/coded.h"
#include "gsic/cores/tiles.h"

namespace gsic {

/// A strip's table, and which of the group's rare weights are its own.
struct CodedStrip {
  const CodedGroup &group;
  ByteTable table;
  int next, end;

  CodedStrip(const CodedGroup &of, int number)
      : group(of), table(load_table(of.tables + 16 * number)), next(of.begin_of(number)), end(of.end_of(number)) {}
  /// The block that the next rare weight is in; a number that no block has where there are no more.
  int due() const { return next < end ? group.place_of(next) / kPlainBlock : kStripRoom; }
};

/// How far ahead of its reads a strip is prefetched: fourteen blocks. Unpacking takes so many instructions for the
/// bytes of a block that too few reads are on their way otherwise: without this, one column gains nothing on a Xeon.
constexpr int kCodedPrefetch = 14 * kCodedBlock;

inline void load_coded_ahead(const uint8_t *place, ByteTable table, i32x16 (&rows)[kTileRows]) {
  for (int line = 0; line < kCodedBlock; line += 64) prefetch(place + kCodedPrefetch + line);
  load_coded(place, table, rows);
}

inline void store_rows(const i32x16 (&rows)[kTileRows], uint8_t *plain) {
#pragma GCC unroll 4
  for (int row = 0; row < kTileRows; row++) store_i32(plain + row * bf16::bytes, rows[row]);
}

/// Puts a block's rare weights in their places.
inline void correct(CodedStrip &strip, int block, i32x16 (&rows)[kTileRows]) {
  uint8_t plain[kPlainBlock];
  store_rows(rows, plain);
  for (; strip.due() == block; strip.next++)
    plain[strip.group.place_of(strip.next) % kPlainBlock] = strip.group.uppers[strip.next];
  for (int row = 0; row < kTileRows; row++) rows[row] = load_i32(plain + row * bf16::bytes);
}

/// A strip times one column, in registers; `saved` are its sums between two segments.
template <int Blocks>
inline void multiply_column(const uint8_t *place, const TileSegment &segment, CodedStrip strip, f32x16 *saved,
                            float *y) {
  const int blocks = Blocks > 0 ? Blocks : segment.blocks;
  const float *x = segment.x[0] + (Blocks > 0 ? 0 : segment.offset);
  f32x16 sum[kTileRows];
  for (int row = 0; row < kTileRows; row++) sum[row] = Blocks > 0 || segment.first ? zero() : saved[row];
  int due = strip.due();
  for (int block = 0; block < blocks; block++, place += kCodedBlock, x += kBlock) {
    i32x16 rows[kTileRows];
    load_coded_ahead(place, strip.table, rows);
    if (__builtin_expect(block == due, 0)) {
      correct(strip, block, rows);
      due = strip.due();
    }
    const f32x16 value[2] = {load(x), load(x + kLanes)};
#pragma GCC unroll 4
    for (int row = 0; row < kTileRows; row++) {
      f32x16 w[2];
      bf16::widen(rows[row], w);
      sum[row] = fma(w[1], value[1], fma(w[0], value[0], sum[row]));
    }
  }
  if (Blocks > 0 || segment.last) return reduce_four(sum, y);
  for (int row = 0; row < kTileRows; row++) saved[row] = sum[row];
}

/// A strip as tiles.h has it.
inline void unpack_strip(const uint8_t *place, int blocks, const CodedStrip &strip, uint8_t *plain) {
  for (int block = 0; block < blocks; block++, place += kCodedBlock) {
    i32x16 rows[kTileRows];
    load_coded_ahead(place, strip.table, rows);
    store_rows(rows, plain + block * kPlainBlock);
  }
  for (int i = strip.next; i < strip.end; i++) plain[strip.group.place_of(i)] = strip.group.uppers[i];
}

/// A strip as tiles.h has it, times `columns` of the columns, at most C.
template <int Blocks, int C>
inline void multiply_strip(const uint8_t *plain, const TileSegment &segment, int first, int columns, f32x16 *saved,
                           float *y) {
  if constexpr (C > 1) {
    if (columns < C) return multiply_strip<Blocks, C - 1>(plain, segment, first, columns, saved, y);
  }
  const float *x[C];
#pragma GCC unroll 8
  for (int c = 0; c < C; c++) x[c] = segment.x[first + c];
  multiply_tile<bf16, Blocks, C>(plain, segment, x, saved + first * kTileRows, y + first * kRunRows);
}

/// For several columns a strip is unpacked once, into the first-level cache.
template <int Blocks> void CodedCore<Blocks>::multiply(const CodedSegment &coded, TileResults &results) {
  const TileSegment &segment = coded.tiles;
  const int blocks = Blocks > 0 ? Blocks : segment.blocks;
  const uint8_t *place = segment.place;
  f32x16 *saved = results.sums;
  alignas(64) uint8_t plain[kStripRoom];
  for (int i = 0; i < segment.tiles; i++, place += blocks * kCodedBlock, saved += segment.columns * kTileRows) {
    const CodedStrip strip(coded.group, coded.strip + i);
    if (segment.columns == 1) {
      multiply_column<Blocks>(place, segment, strip, saved, results.y[0] + i * kTileRows);
      continue;
    }
    unpack_strip(place, blocks, strip, plain);
    for (int first = 0, columns; first < segment.columns; first += columns) {
      columns = even_part(segment.columns - first, kTileColumns);
      multiply_strip<Blocks, kTileColumns>(plain, segment, first, columns, saved, results.y[0] + i * kTileRows);
    }
  }
}

}  // namespace gsic

#endif
