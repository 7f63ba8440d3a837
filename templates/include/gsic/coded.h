// Matrices of bf16 in twelve bits a weight, without loss, and their products with 1 to 16 columns.
//
// A weight's upper byte is its sign and the upper seven bits of its exponent, and a matrix has few different ones. Here
// it is a code of four bits. A strip, which is a tile's part in a segment, has a table of the sixteen that are
// commonest in it; the rare weights that have another one are listed, and put in their places before anything is
// multiplied. So all products and sums are those of tiles.h, bit by bit.
//
// Tiles lie in groups of 32, strips in the order of tiles.h. In front of its strips a group holds
//   tables  16 bytes a strip: the upper byte that each code stands for
//   ends    2 bytes a strip: the end of its rare weights in the two lists; they begin where the last strip's end
//   places  2 bytes a rare weight: where its upper byte lies in the strip as tiles.h packs it
//   uppers  1 byte a rare weight: its upper byte
// A block of four rows is 64 bytes of codes, and the lower bytes: 64 of the first two rows, 64 of the others. In each
// of those, sixteen bytes are eight of a row's, in the order of tiles.h, and eight of the next row's. The lower half of
// a byte of codes is the code of the byte in the same place of the first 64, the upper half of that of the others.
#ifndef GSIC_CODED_H
#define GSIC_CODED_H

#include "gsic/tiles.h"

namespace gsic {

/// The type of weights of which a group of tiles has room for Rare rare ones.
template <int Rare> struct coded_bf16 {
  static constexpr int rare = Rare;
};

/// Bytes of a block of four rows, coded and as tiles.h has it.
constexpr int kCodedBlock = 192, kPlainBlock = kTileRows * bf16::bytes;
/// Bytes of the longest strip as tiles.h has it, rounded up to a power of two: what a damaged place cannot leave.
constexpr int kStripRoom = 8192;
static_assert(kSegment / kBlock * kPlainBlock <= kStripRoom, "a strip is longer than its room");

/// What a group of tiles holds in front of its strips; these are numbered kTileGroup segment + tile.
struct CodedGroup {
  const uint8_t *tables, *ends, *places, *uppers;
  int rare;

  CodedGroup(const uint8_t *data, int strips, int room)
      : tables(data), ends(data + 16 * strips), places(ends + 2 * strips), uppers(places + 2 * room), rare(room) {}
  int end_of(int strip) const {
    const int end = ends[2 * strip] | ends[2 * strip + 1] << 8;
    return end < rare ? end : rare;
  }
  int begin_of(int strip) const { return strip == 0 ? 0 : end_of(strip - 1); }
  int place_of(int index) const { return (places[2 * index] | places[2 * index + 1] << 8) % kStripRoom; }
};

/// How the strips of a matrix lie whose groups have room for so many rare weights.
struct CodedShape {
  TileShape tiles;
  int rare;

  constexpr int strips() const { return kTileGroup * tiles.segments(); }
  static constexpr int strip(int tile, int segment) { return kTileGroup * segment + tile % kTileGroup; }
  constexpr int64_t header() const { return (18 * strips() + 3 * rare + 63) / 64 * 64; }
  /// Where a tile's group begins, and its first block in a segment; the others of the segment follow.
  constexpr int64_t group(int tile) const {
    return tile / kTileGroup * (header() + int64_t(kTileGroup) * tiles.blocks() * kCodedBlock);
  }
  constexpr int64_t place(int tile, int segment) const {
    const int begin = tile / kTileGroup * kTileGroup, left = tiles.tiles() - begin;
    const int count = left < kTileGroup ? left : kTileGroup;
    const int before = count * segment * tiles.segment_blocks() + (tile - begin) * tiles.blocks_of(segment);
    return group(tile) + header() + int64_t(before) * kCodedBlock;
  }
};

/// Elements 32 block to 32 block + 31 of a row.
inline void decode_coded_row(const uint8_t *data, CodedShape shape, int row, int block, f32x16 (&w)[2]) {
  const int tile = row / kTileRows, segment = block / shape.tiles.segment_blocks();
  const int at = block - segment * shape.tiles.segment_blocks(), number = shape.strip(tile, segment);
  const CodedGroup group(data + shape.group(tile), shape.strips(), shape.rare);
  i32x16 rows[kTileRows];
  load_coded(data + shape.place(tile, segment) + at * kCodedBlock, load_table(group.tables + 16 * number), rows);
  uint8_t plain[bf16::bytes];
  store_i32(plain, rows[row % kTileRows]);
  const int begin = at * kPlainBlock + row % kTileRows * bf16::bytes;
  for (int i = group.begin_of(number); i < group.end_of(number); i++) {
    const int place = group.place_of(i) - begin;
    if (place >= 0 && place < bf16::bytes) plain[place] = group.uppers[i];
  }
  bf16::decode(plain, w);
}

template <int Rare, int Out, int D> struct CodedMatrix {
  using type = coded_bf16<Rare>;
  static constexpr int out = Out, d = D, tile_rows = kTileRows;
  static constexpr CodedShape shape{{Out, D}, Rare};
  static constexpr int blocks = shape.tiles.blocks(), segments = shape.tiles.segments();
  static constexpr int segment_blocks = shape.tiles.segment_blocks();
  const uint8_t *data;

  explicit CodedMatrix(const void *pointer) : data(static_cast<const uint8_t *>(pointer)) {}
  static constexpr int blocks_of(int segment) { return shape.tiles.blocks_of(segment); }
  const uint8_t *place(int tile, int segment) const { return data + shape.place(tile, segment); }
  CodedGroup group(int tile) const { return {data + shape.group(tile), shape.strips(), Rare}; }
  static constexpr int strip(int tile, int segment) { return shape.strip(tile, segment); }
  void decode_row(int row, int block, f32x16 (&w)[2]) const { decode_coded_row(data, shape, row, block, w); }
};

/// Strips of one segment, one after another, and the columns that they meet.
struct CodedSegment {
  TileSegment tiles;
  CodedGroup group;
  int strip;  ///< the first one's number
};

/// The code of all matrices whose tiles are one segment of so many Blocks, or several segments (0): cores/coded.h.
template <int Blocks> struct GSIC_CORE CodedCore {
  static void multiply(const CodedSegment &segment, TileResults &results);
};

/// The products of a run of rows with the columns of a pass; x is [16, stride_of(D)].
template <class M> class CodedProduct {
 public:
  using Core = CodedCore<M::segments == 1 ? M::blocks : 0>;

  CodedProduct(const M &, const Columns &columns, const float *x) : columns_(columns.count) {
    for (int i = 0; i < columns.count; i++) x_[i] = x + columns.index[i] * stride_of(M::d);
    results_.sums = sums_;
  }
  /// `first` begins a tile; the rows lie in one group of kRunRows.
  void run(M matrix, int first, int rows) {
    const int begin = first / kTileRows, tiles = (rows + kTileRows - 1) / kTileRows;
    for (int segment = 0; segment < M::segments; segment++)
      Core::multiply({{matrix.place(begin, segment), tiles, M::blocks_of(segment), x_, columns_,
                       segment * M::segment_blocks * kBlock, segment == 0, segment + 1 == M::segments},
                      matrix.group(begin),
                      M::strip(begin, segment)},
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
#include "gsic/cores/coded.h"
#endif

#endif
