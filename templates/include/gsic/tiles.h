// Matrices of f32, f16 and bf16: tiles of four rows, and their products with 1 to 16 columns.
//
// A matrix [Out, D] is packed in tiles of four rows; a tile holds, block by block along D, the four rows' blocks one
// after another. Where D is long, tiles lie in groups of 32, and a group lies segment by segment: the first blocks of
// all its tiles, then the next ones. So a worker reads one contiguous stream, and multiplies all that it reads of a
// group with the few elements of x that the first-level cache holds. Missing rows and columns beyond D are zero.
#ifndef GSIC_TILES_H
#define GSIC_TILES_H

#include "gsic/weights.h"
#include "gsic/work.h"

namespace gsic {

constexpr int kTileRows = 4;

/// Most elements of a segment.
constexpr int kSegment = 576;
/// Tiles of a group, where there are several segments.
constexpr int kTileGroup = 32;
/// Most rows of a run: what is multiplied with all columns before the results are stored.
constexpr int kRunRows = kTileGroup * kTileRows;
/// How far ahead of its reads a tile is prefetched for several columns. One column is read as fast as the hardware's
/// own prefetching allows, which this would disturb.
constexpr int kTilePrefetch = 2048;

template <class W, int Out, int D> struct TileMatrix {
  using type = W;
  static constexpr int out = Out, d = D, tile_rows = kTileRows;
  static constexpr int blocks = (D + kBlock - 1) / kBlock;
  static constexpr int tiles = (Out + kTileRows - 1) / kTileRows;
  static constexpr int block_bytes = kTileRows * W::bytes;
  static constexpr int64_t tile_bytes = int64_t(blocks) * block_bytes;
  static constexpr int segments = (D + kSegment - 1) / kSegment;
  static constexpr int segment_blocks = (blocks + segments - 1) / segments;
  static constexpr int group = segments == 1 ? 1 : kTileGroup;
  const uint8_t *data;

  explicit TileMatrix(const void *pointer) : data(static_cast<const uint8_t *>(pointer)) {}
  /// The blocks of a segment that the last one may fall short of.
  static constexpr int blocks_of(int segment) {
    const int rest = blocks - segment * segment_blocks;
    return rest < segment_blocks ? rest : segment_blocks;
  }
  /// The first block of a tile in a segment; the others of the segment follow.
  const uint8_t *place(int tile, int segment) const {
    const int begin = tile / group * group, count = tiles - begin < group ? tiles - begin : group;
    const int64_t before = int64_t(count) * segment * segment_blocks + int64_t(tile - begin) * blocks_of(segment);
    return data + begin * tile_bytes + before * block_bytes;
  }
  /// Elements 32 block to 32 block + 31 of a row.
  void decode_row(int row, int block, f32x16 (&w)[2]) const {
    const int segment = block / segment_blocks;
    W::decode(
        place(row / kTileRows, segment) + ((block - segment * segment_blocks) * kTileRows + row % kTileRows) * W::bytes,
        w);
  }
};

/// Adds the products of `blocks` blocks of a tile with C columns of x to `sum`, [column][row].
template <class W, int C>
inline void multiply_blocks(const uint8_t *place, int blocks, const float *const *x, int offset,
                            f32x16 (&sum)[C * kTileRows]) {
  constexpr int bytes = kTileRows * W::bytes;
  for (const uint8_t *const end = place + blocks * bytes; place < end; place += bytes) {
    if constexpr (C > 1)
      for (int line = 0; line < bytes; line += 64) prefetch(place + kTilePrefetch + line);
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
      f32x16 value[C];
#pragma GCC unroll 8
      for (int c = 0; c < C; c++) value[c] = load(x[c] + offset + half * kLanes);
#pragma GCC unroll 4
      for (int row = 0; row < kTileRows; row++) {
        f32x16 w[2];
        W::decode(place + row * W::bytes, w);
#pragma GCC unroll 8
        for (int c = 0; c < C; c++) sum[c * kTileRows + row] = fma(w[half], value[c], sum[c * kTileRows + row]);
      }
    }
    offset += kBlock;
  }
}

/// A run of tiles of one group, and the columns of a pass.
struct TileRun {
  int begin, count;
  const float *const *x;
  int columns;
};

/// The results of a run, [tile][column][row], and what its sums are between two segments.
template <class M> struct TileResults {
  float y[kTileGroup][GSIC_MAX_COLUMNS][kTileRows];
  f32x16 sums[M::segments == 1 ? 1 : kTileGroup * GSIC_MAX_COLUMNS * kTileRows];
};

/// A segment of the run's tile number `index`, times C columns from `first` on.
template <int C, class M>
inline void multiply_segment(M matrix, const TileRun &run, int segment, int index, int first, TileResults<M> &results) {
  f32x16 *const saved = M::segments == 1 ? nullptr : results.sums + (index * run.columns + first) * kTileRows;
  f32x16 sum[C * kTileRows];
#pragma GCC unroll 32
  for (int i = 0; i < C * kTileRows; i++) sum[i] = segment == 0 ? zero() : saved[i];
  multiply_blocks<typename M::type, C>(matrix.place(run.begin + index, segment), M::blocks_of(segment), run.x + first,
                                       segment * M::segment_blocks * kBlock, sum);
  if (segment + 1 < M::segments)
#pragma GCC unroll 32
    for (int i = 0; i < C * kTileRows; i++) saved[i] = sum[i];
  else
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) reduce_four(sum + c * kTileRows, results.y[index][first + c]);
}

/// A segment of all tiles of a run, times `columns` of the columns, at most C.
template <int C, class M>
inline void multiply_segments(M matrix, const TileRun &run, int segment, int first, int columns,
                              TileResults<M> &results) {
  if constexpr (C > 1) {
    if (columns < C) return multiply_segments<C - 1>(matrix, run, segment, first, columns, results);
  }
  for (int i = 0; i < run.count; i++) multiply_segment<C>(matrix, run, segment, i, first, results);
}

/// The products of a run with all columns, in register blocks of about the same number of columns.
template <class M> inline void multiply_run(M matrix, const TileRun &run, TileResults<M> &results) {
  for (int segment = 0; segment < M::segments; segment++) {
    int first = 0;
    for (int parts = (run.columns + kColumnBlock - 1) / kColumnBlock; parts > 0; parts--) {
      const int columns = (run.columns - first + parts - 1) / parts;
      multiply_segments<kColumnBlock>(matrix, run, segment, first, columns, results);
      first += columns;
    }
  }
}

/// The products of a run of rows with the columns of a pass; x is [16, stride_of(D)].
template <class M> class TileProduct {
 public:
  TileProduct(const Columns &columns, const float *x) : columns_(columns.count) {
    for (int i = 0; i < columns.count; i++) x_[i] = x + columns.index[i] * stride_of(M::d);
  }
  /// `first` begins a tile; the rows lie in one group of kRunRows.
  void run(M matrix, int first, int rows) {
    multiply_run(matrix, TileRun{first / kTileRows, (rows + kTileRows - 1) / kTileRows, x_, columns_}, results_);
  }
  /// Row `row` of the last run, column number c.
  float at(int c, int row) const { return results_.y[row / kTileRows][c][row % kTileRows]; }

 private:
  int columns_;
  const float *x_[GSIC_MAX_COLUMNS];
  TileResults<M> results_;
};

}  // namespace gsic

#endif
