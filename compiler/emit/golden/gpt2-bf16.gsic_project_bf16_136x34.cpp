// y = gelu_tanh(W x + b)
// x [columns, 34], W bf16 [136, 34], y [columns, 136]
// reads 17408 bytes of weights per token
#include "gsic/gate.h"
#include "gsic/math.h"

using namespace gsic;

extern "C" void gsic_project_bf16_136x34(const gsic_worker *worker, void *const *arguments) {
  const auto &step = *static_cast<const gsic_step *>(arguments[0]);
  const auto *x = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const Columns columns = all_columns(step);
  {  // rows 0 to 135
    const auto *bias = static_cast<const float *>(arguments[3]);
    multiply(*worker, Matrix<bf16, 136, 34>(arguments[4]), columns, x,
             [=](int row, int column, float value) {
               const int place = column * stride_of(136) + 0 + row;
               y[place] = gelu_tanh(value + bias[row]);
             });
  }
  clear_padding<136>(*worker, step, y);
}
