// Matrices and their products whose shapes are known when they run. What they compute, and in which order, is that of
// tiles.h, blocks.h, coded.h and quantized.h; the code that does is the same cores.
#ifndef GSIC_GENERIC_MATRIX_H
#define GSIC_GENERIC_MATRIX_H

#include "gsic/generic/shapes.h"
#include "gsic/multiply.h"
#include "gsic/quantized.h"

namespace gsic {
namespace generic {

/// A matrix of tiles, as TileMatrix.
template <class W> struct Rows {
  using type = W;
  int out, d, blocks;
  const uint8_t *data;

  Rows(const MatrixShape &shape, const void *pointer)
      : out(shape.out),
        d(shape.d),
        blocks(TileShape{shape.out, shape.d}.blocks()),
        data(static_cast<const uint8_t *>(pointer)) {}
  void decode_row(int row, int block, f32x16 (&w)[2]) const {
    decode_tile_row<W>(data, TileShape{out, d}, row, block, w);
  }
};

/// A matrix of blocks, as BlockMatrix.
template <class Elements, class Scales> struct Rows<Block<Elements, Scales>> {
  using type = Block<Elements, Scales>;
  int out, d, blocks;
  const uint8_t *data;
  const int32_t *order;  ///< the input of each column, or null

  Rows(const MatrixShape &shape, const void *pointer)
      : out(shape.out), d(shape.d), blocks(shape.d / kBlock), data(static_cast<const uint8_t *>(pointer)) {
    const int tiles = (out + kBlockRows - 1) / kBlockRows;
    order = shape.ordered ? reinterpret_cast<const int32_t *>(data + tiles * block_tile_bytes<type>(blocks)) : nullptr;
  }
  void decode_row(int row, int block, f32x16 (&w)[2]) const {
    decode_block_row<type>(data + row / kBlockRows * block_tile_bytes<type>(blocks), row, block, w);
  }
};

/// A matrix in twelve bits a weight, as CodedMatrix.
struct CodedRows {
  CodedShape shape;
  int out, d, blocks;
  const uint8_t *data;

  CodedRows(const MatrixShape &of, const void *pointer)
      : shape{{of.out, of.d}, of.rank},
        out(of.out),
        d(of.d),
        blocks(shape.tiles.blocks()),
        data(static_cast<const uint8_t *>(pointer)) {}
  void decode_row(int row, int block, f32x16 (&w)[2]) const { decode_coded_row(data, shape, row, block, w); }
};

/// Calls `use` with the matrix as its own type.
template <class Use> inline void with_rows(const MatrixShape &shape, const void *pointer, Use use) {
  switch (shape.type) {
    case Type::f32:
      return use(Rows<f32>(shape, pointer));
    case Type::f16:
      return use(Rows<f16>(shape, pointer));
    case Type::bf16:
      return use(Rows<bf16>(shape, pointer));
    case Type::q4_0:
      return use(Rows<q4_0>(shape, pointer));
    case Type::q4_1:
      return use(Rows<q4_1>(shape, pointer));
    case Type::q5_0:
      return use(Rows<q5_0>(shape, pointer));
    case Type::q5_1:
      return use(Rows<q5_1>(shape, pointer));
    case Type::q8_0:
      return use(Rows<q8_0>(shape, pointer));
    case Type::q4_k:
      return use(Rows<q4_k>(shape, pointer));
    case Type::q5_k:
      return use(Rows<q5_k>(shape, pointer));
    case Type::q6_k:
      return use(Rows<q6_k>(shape, pointer));
    case Type::i4:
      return use(Rows<i4>(shape, pointer));
    case Type::i4_128:
      return use(Rows<i4_128>(shape, pointer));
    case Type::i8:
      return use(Rows<i8>(shape, pointer));
    case Type::f8:
      return use(Rows<f8>(shape, pointer));
    case Type::f8_128:
      return use(Rows<f8_128>(shape, pointer));
    case Type::nf4:
      return use(Rows<nf4>(shape, pointer));
    case Type::fp4:
      return use(Rows<fp4>(shape, pointer));
    case Type::coded_bf16:
      return use(CodedRows(shape, pointer));
    case Type::few_bits:
      return;
  }
}

/// The product of a matrix with the columns of a pass, run by run.
struct Product {
  /// `first` begins a tile; at most kRunRows rows, which lie in one group of them.
  void (*run)(Product &self, int first, int rows);
  /// Row `row` of the last run, column number c.
  float (*at)(const Product &self, int c, int row);
  int tile_rows;
};

/// Bytes of a product's memory.
size_t product_bytes(const MatrixShape &shape, int columns);
/// A product in memory that the caller has; x is [16, stride_of(d)].
Product *make_product(const MatrixShape &shape, const void *weights, const Columns &columns, const float *x,
                      void *memory);

/// A matrix at few bits, and how it lies.
struct FewBits {
  DotTiles tiles;  ///< all of them
  int out;
  void (*multiply)(const DotTiles &tiles, const DotInput &input, DotResult &result);

  FewBits(const MatrixShape &shape, const void *pointer);
  /// Multiplies a run of `count` tiles from number `first` on.
  void run(int first, int count, const DotInput &input, DotResult &result) const {
    DotTiles part = tiles;
    part.place += first * tiles.bytes;
    part.tiles = count;
    multiply(part, input, result);
  }
};

/// The columns of x as integers, and those of g = B^T x, in memory that the caller has.
class Integers {
 public:
  static size_t bytes(int d, int rank);
  Integers(int d, int rank, void *memory);
  void set(const Columns &columns, const float *x);
  /// Sets g = B^T x of columns that are set.
  void project(const Columns &columns, const MatrixShape &basis, const void *pointer);
  DotInput of(const Columns &columns) const;

 private:
  int d_, rank_;
  DotColumn x_[GSIC_MAX_COLUMNS], g_[GSIC_MAX_COLUMNS];
};

/// Calls `each(first, count)` for runs of this worker's share of the tiles.
template <class Each> inline void for_each_dot_run(const gsic_worker &worker, const FewBits &matrix, Each each) {
  const Range tiles = share(worker, matrix.tiles.tiles);
  for (int first = tiles.begin, count; first < tiles.end; first += count) {
    count = tiles.end - first < kDotRun ? tiles.end - first : kDotRun;
    each(first, count);
  }
}

}  // namespace generic
}  // namespace gsic

#endif
