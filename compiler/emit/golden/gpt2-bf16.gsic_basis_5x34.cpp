// g = V^T x
// x [columns, 34], V^T [5, 34], g [columns, 5]
// reads 1024 bytes of weights per token
#include "gsic/gate.h"
#include "gsic/math.h"

using namespace gsic;

extern "C" void gsic_basis_5x34(const gsic_worker *worker, void *const *arguments) {
  const auto &step = *static_cast<const gsic_step *>(arguments[0]);
  const auto *x = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const Columns columns = all_columns(step);
  {  // rows 0 to 4
    multiply(*worker, Matrix<f16, 5, 34>(arguments[3]), columns, x,
             [=](int row, int column, float value) {
               const int place = column * stride_of(5) + 0 + row;
               y[place] = identity(value);
             });
  }
  clear_padding<5>(*worker, step, y);
}
