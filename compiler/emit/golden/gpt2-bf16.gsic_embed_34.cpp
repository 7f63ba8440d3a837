// y = token row + position row
// y [columns, 34]
// reads 256 bytes of weights per token
#include "gsic/layers.h"

using namespace gsic;

extern "C" void gsic_embed_34(const gsic_worker *worker, void *const *arguments) {
  const auto &step = *static_cast<const gsic_step *>(arguments[0]);
  auto *y = static_cast<float *>(arguments[1]);
  const Range columns = share(*worker, step.columns);
  for (int column = columns.begin; column < columns.end; column++) {
    const gsic_column &now = step.column[column];
    float *out = y + column * stride_of(34);
    clear(out, stride_of(34));
    add_row(Matrix<bf16, 97, 34>(arguments[2]), now.token, out);
    add_row(Matrix<bf16, 48, 34>(arguments[3]), now.position, out);
  }
}
