// y = W x for 1 to 16 columns, batch-invariant: one column is added up in the same order however many run together.
//
// A matrix [Out, D] is packed in tiles of four rows; a tile holds, block by block along D, the four rows' blocks one
// after another. Where D is long, tiles lie in groups of 32, and a group lies segment by segment: the first blocks of
// all its tiles, then the next ones. So a worker reads one contiguous stream, and multiplies all that it reads of a
// group with the few elements of x that the first-level cache holds. Missing rows and columns beyond D are zero.
#ifndef GSIC_MULTIPLY_H
#define GSIC_MULTIPLY_H

#include "gsic/weights.h"
#include "gsic/work.h"

namespace gsic {

constexpr int kTileRows = 4;

/// Most elements of a segment.
constexpr int kSegment = 576;
/// Tiles of a group, where there are several segments.
constexpr int kTileGroup = 32;
/// How far ahead of its reads a tile is prefetched for several columns. One column is read as fast as the hardware's
/// own prefetching allows, which this would disturb.
constexpr int kTilePrefetch = 2048;

template <class W, int Out, int D> struct Matrix {
  using type = W;
  static constexpr int out = Out, d = D;
  static constexpr int blocks = (D + W::elements - 1) / W::elements;
  static constexpr int tiles = (Out + kTileRows - 1) / kTileRows;
  static constexpr int block_bytes = kTileRows * W::bytes;
  static constexpr int64_t tile_bytes = int64_t(blocks) * block_bytes;
  static constexpr int segments = (D + kSegment - 1) / kSegment;
  static constexpr int segment_blocks = (blocks + segments - 1) / segments;
  static constexpr int group = segments == 1 ? 1 : kTileGroup;
  const uint8_t *data;

  explicit Matrix(const void *pointer) : data(static_cast<const uint8_t *>(pointer)) {}
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
  /// Block number `block` of a row.
  const uint8_t *row_block(int row, int block) const {
    const int segment = block / segment_blocks;
    return place(row / kTileRows, segment) +
           ((block - segment * segment_blocks) * kTileRows + row % kTileRows) * W::bytes;
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
    for (int step = 0; step < W::steps; step++, offset += 32) {
#pragma GCC unroll 2
      for (int half = 0; half < 2; half++) {
        f32x16 value[C];
#pragma GCC unroll 8
        for (int c = 0; c < C; c++) value[c] = load(x[c] + offset + half * kLanes);
#pragma GCC unroll 4
        for (int row = 0; row < kTileRows; row++) {
          f32x16 w[2];
          W::decode(place + row * W::bytes, step, w);
#pragma GCC unroll 8
          for (int c = 0; c < C; c++) sum[c * kTileRows + row] = fma(w[half], value[c], sum[c * kTileRows + row]);
        }
      }
    }
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
inline void multiply_segment(M matrix, const TileRun &run, int segment, int index, int first,
                             TileResults<M> &results) {
  f32x16 *const saved = M::segments == 1 ? nullptr : results.sums + (index * run.columns + first) * kTileRows;
  f32x16 sum[C * kTileRows];
#pragma GCC unroll 32
  for (int i = 0; i < C * kTileRows; i++) sum[i] = segment == 0 ? zero() : saved[i];
  multiply_blocks<typename M::type, C>(matrix.place(run.begin + index, segment), M::blocks_of(segment), run.x + first,
                                       segment * M::segment_blocks * M::type::elements, sum);
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

/// Pointers to the rows of `x` that belong to `columns`.
struct Inputs {
  const float *x[GSIC_MAX_COLUMNS];
  Inputs(const Columns &columns, const float *value, int stride) {
    for (int i = 0; i < columns.count; i++) x[i] = value + columns.index[i] * stride;
  }
};

/// Calls `each(run)` for the worker's share of a matrix's tiles, and `store(row, column, i, c, r)` for the outputs of
/// the run: those of its tile i, column number c and the tile's row r.
template <class M, class Each, class Store>
inline void for_each_run(const gsic_worker &worker, const Columns &columns, const float *const *x, Each each,
                         Store store) {
  const Range tiles = share(worker, M::tiles);
  for (int begin = tiles.begin, end; begin < tiles.end; begin = end) {
    end = begin / kTileGroup * kTileGroup + kTileGroup;
    end = end < tiles.end ? end : tiles.end;
    each(TileRun{begin, end - begin, x, columns.count});
    const int rows = (end * kTileRows < M::out ? end * kTileRows : M::out) - begin * kTileRows;
    for (int c = 0; c < columns.count; c++)
      for (int row = 0; row < rows; row++)
        store(begin * kTileRows + row, columns.index[c], row / kTileRows, c, row % kTileRows);
  }
}

/// y = W x; `store(row, column, value)` receives every output element once.
template <class M, class Store>
inline void multiply(const gsic_worker &worker, M matrix, const Columns &columns, const float *x, Store store) {
  if (columns.count == 0) return;
  const Inputs inputs(columns, x, stride_of(M::d));
  TileResults<M> results;
  for_each_run<M>(
      worker, columns, inputs.x, [&](const TileRun &run) { multiply_run(matrix, run, results); },
      [&](int row, int column, int i, int c, int r) { store(row, column, results.y[i][c][r]); });
}

/// Two matrices of the same shape on the same input: `store(row, column, first, second)`.
template <class A, class B, class Store>
inline void multiply_pair(const gsic_worker &worker, A first, B second, const Columns &columns, const float *x,
                          Store store) {
  static_assert(A::out == B::out && A::d == B::d, "a pair has one shape");
  if (columns.count == 0) return;
  const Inputs inputs(columns, x, stride_of(A::d));
  TileResults<A> a;
  TileResults<B> b;
  for_each_run<A>(
      worker, columns, inputs.x,
      [&](const TileRun &run) {
        multiply_run(first, run, a);
        multiply_run(second, run, b);
      },
      [&](int row, int column, int i, int c, int r) { store(row, column, a.y[i][c][r], b.y[i][c][r]); });
}

}  // namespace gsic

#endif
