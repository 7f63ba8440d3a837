// Heads whose largest logits are found by bounds, of every shape and weight type.
#include "gsic/screen.h"

#include "gsic/generic/matrix.h"

namespace gsic {
namespace generic {

void screen(const ScreenedShape &shape, const gsic_worker &worker, Arguments arguments) {
  const MatrixShape &matrix = shape.matrix;
  const gsic::ScreenShape copy{matrix.out, matrix.d, matrix.bits, matrix.group, matrix.rank};
  const Columns columns = wanted_columns(step_of(arguments));
  const size_t blocks = size_t(columns.count) * size_t(copy.blocks() + 1);
  gsic::screen<6>(worker, copy, columns, static_cast<const uint8_t *>(arguments[matrix.argument]),
                  static_cast<const float *>(arguments[1]), static_cast<float *>(arguments[2]),
                  argument<float>(arguments, shape.floors),
                  static_cast<ScreenColumn *>(GSIC_FRAME(sizeof(ScreenColumn) * size_t(columns.count))),
                  static_cast<DotBlock *>(GSIC_FRAME(sizeof(DotBlock) * blocks)),
                  static_cast<float *>(GSIC_FRAME(sizeof(float) * size_t(stride_of(matrix.d)))));
}

void rescore(const ScreenedShape &shape, const gsic_worker &worker, Arguments arguments) {
  const MatrixShape &matrix = shape.matrix;
  const Columns columns = wanted_columns(step_of(arguments));
  auto *y = static_cast<float *>(arguments[2]);
  clear_padding(worker, step_of(arguments), y, matrix.out);
  if (columns.count == 0) return;
  Product *const product = make_product(matrix, arguments[matrix.argument], columns,
                                        static_cast<const float *>(arguments[1]),
                                        GSIC_FRAME(product_bytes(matrix, columns.count)));
  gsic::rescore(
      worker, matrix.out, product->tile_rows, columns, argument<const float>(arguments, shape.floors), y,
      [&](int first, int rows) { product->run(*product, first, rows); },
      [&](int c, int row) { return product->at(*product, c, row); });
}

}  // namespace generic
}  // namespace gsic
