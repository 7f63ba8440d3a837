// y = W x
// x [columns, 256], W q6_k [131, 256], y [columns, 131]
// reads 30240 bytes of weights per token
#include "gsic/gate.h"
#include "gsic/math.h"

using namespace gsic;

extern "C" void gsic_head_q6_k_131x256(const gsic_worker *worker, void *const *arguments) {
  const auto &step = *static_cast<const gsic_step *>(arguments[0]);
  const auto *x = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const Columns columns = wanted_columns(step);
  {  // rows 0 to 130
    multiply(*worker, Matrix<q6_k, 131, 256>(arguments[3]), columns, x,
             [=](int row, int column, float value) {
               const int place = column * stride_of(131) + 0 + row;
               y[place] = identity(value);
             });
  }
  clear_padding<131>(*worker, step, y);
}
