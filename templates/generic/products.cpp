// Products of matrices whose shapes are known when they run.
#include <new>

#include "gsic/generic/matrix.h"

namespace gsic {
namespace generic {
namespace {

/// A segment's tiles for the core of a type.
template <class W>
void multiply_segment(const Rows<W> &matrix, int tile, int segment, const TileSegment &of, TileResults &results) {
  TileSegment placed = of;
  placed.place = matrix.data + TileShape{matrix.out, matrix.d}.before(tile, segment) * kTileRows * W::bytes;
  TileCore<W, 0>::multiply(placed, results);
}
void multiply_segment(const CodedRows &matrix, int tile, int segment, const TileSegment &of, TileResults &results) {
  const CodedShape &shape = matrix.shape;
  CodedSegment placed = {of, {matrix.data + shape.group(tile), shape.strips(), shape.rare}, shape.strip(tile, segment)};
  placed.tiles.place = matrix.data + shape.place(tile, segment);
  CodedCore<0>::multiply(placed, results);
}

/// As TileProduct and CodedProduct.
template <class M> struct TilesProduct : Product {
  M matrix;
  TileShape shape;
  int columns;
  const float *x[GSIC_MAX_COLUMNS];
  TileResults results;
  f32x16 sums[kTileGroup * GSIC_MAX_COLUMNS * kTileRows];

  TilesProduct(const M &of, const Columns &pass, const float *from)
      : Product{&run_rows, &row_at, kTileRows}, matrix(of), shape{of.out, of.d}, columns(pass.count) {
    for (int i = 0; i < columns; i++) x[i] = from + pass.index[i] * stride_of(shape.d);
    results.sums = sums;
  }

  static void run_rows(Product &product, int first, int rows) {
    auto &self = static_cast<TilesProduct &>(product);
    const TileShape &shape = self.shape;
    const int begin = first / kTileRows, tiles = (rows + kTileRows - 1) / kTileRows, segments = shape.segments();
    for (int segment = 0; segment < segments; segment++)
      multiply_segment(self.matrix, begin, segment,
                       {nullptr, tiles, shape.blocks_of(segment), self.x, self.columns,
                        segment * shape.segment_blocks() * kBlock, segment == 0, segment + 1 == segments},
                       self.results);
  }
  static float row_at(const Product &product, int c, int row) {
    return static_cast<const TilesProduct &>(product).results.y[c][row];
  }
};

/// As BlockProduct; the activations lie behind it.
template <class W, bool Long> struct BlocksProduct : Product {
  using Core = BlockCore<W, 0, Long>;
  const uint8_t *data;
  int columns, blocks;
  BlockColumn<W> x[GSIC_MAX_COLUMNS];
  float y[GSIC_MAX_COLUMNS][kRunRows];

  BlocksProduct(const Rows<W> &matrix, const Columns &of, const float *from)
      : Product{&run_rows, &row_at, kBlockRows}, data(matrix.data), columns(of.count), blocks(matrix.blocks) {
    auto *activations = reinterpret_cast<BlockActivations<W> *>(this + 1);
    // Behind the activations of all columns: as many floats as a row has.
    auto *ordered = reinterpret_cast<float *>(activations + int64_t(columns) * blocks);
    for (int i = 0; i < columns; i++) {
      const float *column = from + of.index[i] * stride_of(matrix.d);
      if (matrix.order != nullptr) {
        in_order(column, matrix.order, matrix.d, ordered);
        column = ordered;
      }
      x[i].blocks = activations + int64_t(i) * blocks;
      Core::set(column, blocks, x[i]);
    }
  }

  static void run_rows(Product &product, int first, int rows) {
    auto &self = static_cast<BlocksProduct &>(product);
    const uint8_t *place = self.data + first / kBlockRows * block_tile_bytes<W>(self.blocks);
    Core::multiply({place, (rows + kBlockRows - 1) / kBlockRows, self.blocks}, self.x, self.columns, self.y[0]);
  }
  static float row_at(const Product &product, int c, int row) {
    return static_cast<const BlocksProduct &>(product).y[c][row];
  }
};

template <class M> size_t bytes_of(const M &, int) { return sizeof(TilesProduct<M>); }
template <class Elements, class Scales> size_t bytes_of(const Rows<Block<Elements, Scales>> &matrix, int columns) {
  using W = Block<Elements, Scales>;
  const size_t activations = size_t(columns) * size_t(matrix.blocks) * sizeof(BlockActivations<W>);
  return sizeof(BlocksProduct<W, false>) + activations + (matrix.order == nullptr ? 0 : sizeof(float) * matrix.d);
}

template <class T, class... From> Product *made(void *memory, const From &...from) { return new (memory) T(from...); }

template <class M> Product *make(const M &matrix, const Columns &columns, const float *x, void *memory) {
  return made<TilesProduct<M>>(memory, matrix, columns, x);
}
template <class Elements, class Scales>
Product *make(const Rows<Block<Elements, Scales>> &matrix, const Columns &columns, const float *x, void *memory) {
  using W = Block<Elements, Scales>;
  return matrix.d >= kLongRow ? made<BlocksProduct<W, true>>(memory, matrix, columns, x)
                              : made<BlocksProduct<W, false>>(memory, matrix, columns, x);
}

template <bool Symmetric> auto multiply_of(int bits) {
  return bits == 3   ? &DotCore<3, Symmetric>::multiply
         : bits == 4 ? &DotCore<4, Symmetric>::multiply
         : bits == 5 ? &DotCore<5, Symmetric>::multiply
         : bits == 6 ? &DotCore<6, Symmetric>::multiply
                     : &DotCore<8, Symmetric>::multiply;
}

int dot_blocks(int width) { return (width + kDotBlock - 1) / kDotBlock; }

}  // namespace

size_t product_bytes(const MatrixShape &shape, int columns) {
  size_t bytes = 0;
  with_rows(shape, nullptr, [&](const auto &matrix) { bytes = bytes_of(matrix, columns); });
  return bytes;
}

Product *make_product(const MatrixShape &shape, const void *weights, const Columns &columns, const float *x,
                      void *memory) {
  Product *product = nullptr;
  with_rows(shape, weights, [&](const auto &matrix) { product = make(matrix, columns, x, memory); });
  return product;
}

FewBits::FewBits(const MatrixShape &shape, const void *pointer) : out(shape.out) {
  const int groups = (shape.d + shape.group - 1) / shape.group;
  const int group_bytes = (groups * kDotRows + 63) / 64 * 64;
  tiles.place = static_cast<const uint8_t *>(pointer);
  tiles.blocks = dot_blocks(shape.d);
  tiles.zeros_at = kDotScalesAt + group_bytes;
  tiles.blocks_at = tiles.zeros_at + (shape.symmetric ? 0 : group_bytes);
  tiles.a_at = tiles.blocks_at + tiles.blocks * 64 * shape.bits;
  tiles.bytes = tiles.a_at + (shape.rank > 0 ? 64 + kDotRows * shape.rank : 0);
  tiles.tiles = (shape.out + kDotRows - 1) / kDotRows;
  tiles.group_shift = shape.group / kDotBlock / 2;
  tiles.k = shape.rank;
  multiply = shape.symmetric ? multiply_of<true>(shape.bits) : multiply_of<false>(shape.bits);
}

size_t Integers::bytes(int d, int rank) {
  return GSIC_MAX_COLUMNS * size_t(dot_blocks(d) + dot_blocks(rank)) * sizeof(DotBlock);
}

Integers::Integers(int d, int rank, void *memory) : d_(d), rank_(rank) {
  auto *blocks = static_cast<DotBlock *>(memory);
  for (int i = 0; i < GSIC_MAX_COLUMNS; i++, blocks += dot_blocks(d)) x_[i].blocks = blocks;
  for (int i = 0; i < GSIC_MAX_COLUMNS; i++, blocks += dot_blocks(rank)) g_[i].blocks = blocks;
}

void Integers::set(const Columns &columns, const float *x) {
  for (int i = 0; i < columns.count; i++) {
    const int column = columns.index[i];
    ActivationCore<kDotBlock>::set(x + column * stride_of(d_), dot_blocks(d_), x_[column]);
  }
}

void Integers::project(const Columns &columns, const MatrixShape &basis, const void *pointer) {
  const int stride = stride_of(rank_);
  auto *projected = static_cast<float *>(GSIC_FRAME(sizeof(float) * GSIC_MAX_COLUMNS * size_t(stride)));
  for (int i = 0; i < GSIC_MAX_COLUMNS * stride; i++) projected[i] = 0.0f;
  const gsic_worker alone = {0, 1, nullptr, 0};
  const FewBits matrix(basis, pointer);
  const DotInput input = of(columns);
  DotResult result;
  for_each_dot_run(alone, matrix, [&](int first, int count) {
    matrix.run(first, count, input, result);
    for (int c = 0; c < columns.count; c++)
      for (int row = 0; row < count * kDotRows && first * kDotRows + row < matrix.out; row++)
        projected[columns.index[c] * stride + first * kDotRows + row] = result.y[c][row];
  });
  for (int i = 0; i < columns.count; i++) {
    const int column = columns.index[i];
    ActivationCore<kDotBlock>::set(projected + column * stride, dot_blocks(rank_), g_[column]);
  }
}

DotInput Integers::of(const Columns &columns) const {
  DotInput input;
  input.count = columns.count;
  for (int i = 0; i < columns.count; i++) {
    input.x[i] = x_ + columns.index[i];
    input.g[i] = g_ + columns.index[i];
  }
  return input;
}

}  // namespace generic
}  // namespace gsic
