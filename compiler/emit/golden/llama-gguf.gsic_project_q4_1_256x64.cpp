// y = W x + residual
// x [columns, 64], W q4_1 [256, 64], y [columns, 256]
// reads 10240 bytes of weights per token
#include "gsic/gate.h"
#include "gsic/math.h"

using namespace gsic;

extern "C" void gsic_project_q4_1_256x64(const gsic_worker *worker, void *const *arguments) {
  const auto &step = *static_cast<const gsic_step *>(arguments[0]);
  const auto *x = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const auto *residual = static_cast<const float *>(arguments[3]);
  const Columns columns = all_columns(step);
  {  // rows 0 to 255
    multiply(*worker, Matrix<q4_1, 256, 64>(arguments[4]), columns, x,
             [=](int row, int column, float value) {
               const int place = column * stride_of(256) + 0 + row;
               y[place] = identity(value) + residual[place];
             });
  }
}
