// Matrices of f32, f16 and bf16: tiles of four rows, and their products with 1 to 16 columns.
//
// A matrix [Out, D] is packed in tiles of four rows; a tile holds, block by block along D, the four rows' blocks one
// after another. Where D is long, tiles lie in groups of 32, and a group lies segment by segment: the first blocks of
// all its tiles, then the next ones. So a worker reads one contiguous stream, and multiplies all that it reads of a
// group with the few elements of x that the first-level cache holds. Missing rows and columns beyond D are zero.
#ifndef GSIC_TILES_H
#define GSIC_TILES_H

#include "gsic/core.h"
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

/// How the tiles of a matrix [out, d] lie.
struct TileShape {
  int out, d;

  constexpr int blocks() const { return (d + kBlock - 1) / kBlock; }
  constexpr int tiles() const { return (out + kTileRows - 1) / kTileRows; }
  constexpr int segments() const { return (d + kSegment - 1) / kSegment; }
  constexpr int segment_blocks() const { return (blocks() + segments() - 1) / segments(); }
  constexpr int group() const { return segments() == 1 ? 1 : kTileGroup; }
  /// The blocks of a segment that the last one may fall short of.
  constexpr int blocks_of(int segment) const {
    const int rest = blocks() - segment * segment_blocks();
    return rest < segment_blocks() ? rest : segment_blocks();
  }
  /// Blocks of four rows before the first one of a tile in a segment; the others of the segment follow.
  constexpr int64_t before(int tile, int segment) const {
    const int begin = tile / group() * group(), count = tiles() - begin < group() ? tiles() - begin : group();
    return int64_t(begin) * blocks() + int64_t(count) * segment * segment_blocks() +
           int64_t(tile - begin) * blocks_of(segment);
  }
};

/// Elements 32 block to 32 block + 31 of a row.
template <class W>
inline void decode_tile_row(const uint8_t *data, TileShape shape, int row, int block, f32x16 (&w)[2]) {
  const int segment = block / shape.segment_blocks(), within = block - segment * shape.segment_blocks();
  W::decode(data + ((shape.before(row / kTileRows, segment) + within) * kTileRows + row % kTileRows) * W::bytes, w);
}

template <class W, int Out, int D> struct TileMatrix {
  using type = W;
  static constexpr int out = Out, d = D, tile_rows = kTileRows;
  static constexpr TileShape shape{Out, D};
  static constexpr int blocks = shape.blocks(), segments = shape.segments();
  static constexpr int segment_blocks = shape.segment_blocks();
  const uint8_t *data;

  explicit TileMatrix(const void *pointer) : data(static_cast<const uint8_t *>(pointer)) {}
  static constexpr int blocks_of(int segment) { return shape.blocks_of(segment); }
  /// The first block of a tile in a segment.
  const uint8_t *place(int tile, int segment) const {
    return data + shape.before(tile, segment) * (kTileRows * W::bytes);
  }
  void decode_row(int row, int block, f32x16 (&w)[2]) const { decode_tile_row<W>(data, shape, row, block, w); }
};

/// Tiles of one segment, one after another, and the columns that they meet. Without a shape in its type, so that all
/// matrices of a type share the code that multiplies them.
struct TileSegment {
  const uint8_t *place;   ///< the first tile
  int tiles, blocks;      ///< at most kTileGroup tiles of so many blocks each
  const float *const *x;  ///< the columns' elements
  int columns, offset;    ///< how many columns, and the segment's first element
  bool first, last;       ///< whether it is the first of its matrix's segments, and the last
};

/// The results of a run, [column][row], and what its sums are between two segments, [tile, column, row].
struct TileResults {
  float y[GSIC_MAX_COLUMNS][kRunRows];
  f32x16 *sums;
};

/// The code of all matrices of a type whose tiles are one segment of so many Blocks, or several segments (0):
/// cores/tiles.h. Where a row is short, not knowing its length takes up to a tenth of the time of one column.
template <class W, int Blocks> struct GSIC_CORE TileCore {
  static void multiply(const TileSegment &segment, TileResults &results);
};

/// The products of a run of rows with the columns of a pass; x is [16, stride_of(D)].
template <class M> class TileProduct {
 public:
  using Core = TileCore<typename M::type, M::segments == 1 ? M::blocks : 0>;

  TileProduct(const M &, const Columns &columns, const float *x) : columns_(columns.count) {
    for (int i = 0; i < columns.count; i++) x_[i] = x + columns.index[i] * stride_of(M::d);
    results_.sums = sums_;
  }
  /// `first` begins a tile; the rows lie in one group of kRunRows.
  void run(M matrix, int first, int rows) {
    const int begin = first / kTileRows, tiles = (rows + kTileRows - 1) / kTileRows;
    for (int segment = 0; segment < M::segments; segment++)
      Core::multiply({matrix.place(begin, segment), tiles, M::blocks_of(segment), x_, columns_,
                      segment * M::segment_blocks * kBlock, segment == 0, segment + 1 == M::segments},
                     results_);
  }
  /// Row `row` of the last run, column number c.
  float at(int c, int row) const { return results_.y[c][row]; }

 private:
  int columns_;
  const float *x_[GSIC_MAX_COLUMNS];
  f32x16 sums_[M::segments == 1 ? 1 : kTileGroup * GSIC_MAX_COLUMNS * kTileRows];
  TileResults results_;
};

}  // namespace gsic

#if !defined(GSIC_CORES_APART)
#include "gsic/cores/tiles.h"
#endif

#endif
