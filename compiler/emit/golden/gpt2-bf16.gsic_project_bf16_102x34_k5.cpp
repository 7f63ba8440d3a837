// rho = ||x - V g|| / ||x|| < 0.1: y = M g + b, with M = W V, g = V^T x; else y = W x + b
// x [columns, 34], W bf16 [34, 34] + bf16 [34, 34] + bf16 [34, 34], M [34 + 34 + 34, 5], y [columns, 102]
// reads 6912 bytes of weights per token with the gate closed, 13824 with it open; the basis beside them
#include "gsic/gate.h"
#include "gsic/math.h"

using namespace gsic;

extern "C" void gsic_project_bf16_102x34_k5(const gsic_worker *worker, void *const *arguments) {
  const auto &step = *static_cast<const gsic_step *>(arguments[0]);
  const auto *x = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const Columns columns = all_columns(step);
  const auto *g = static_cast<const float *>(arguments[3]);
  const Decision tiers = decide(*worker, columns, Matrix<f16, 5, 34>(arguments[4]), x, g,
                                0.1, static_cast<uint64_t *>(arguments[5]));
  {  // rows 0 to 33, fast tier
    const auto *bias = static_cast<const float *>(arguments[6]);
    multiply(*worker, Matrix<f16, 34, 5>(arguments[7]), tiers.closed, g,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 0 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  {  // rows 0 to 33, slow tier
    const auto *bias = static_cast<const float *>(arguments[6]);
    multiply(*worker, Matrix<bf16, 34, 34>(arguments[8]), tiers.open, x,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 0 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  {  // rows 34 to 67, fast tier
    const auto *bias = static_cast<const float *>(arguments[9]);
    multiply(*worker, Matrix<f16, 34, 5>(arguments[10]), tiers.closed, g,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 34 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  {  // rows 34 to 67, slow tier
    const auto *bias = static_cast<const float *>(arguments[9]);
    multiply(*worker, Matrix<bf16, 34, 34>(arguments[11]), tiers.open, x,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 34 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  {  // rows 68 to 101, fast tier
    const auto *bias = static_cast<const float *>(arguments[12]);
    multiply(*worker, Matrix<f16, 34, 5>(arguments[13]), tiers.closed, g,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 68 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  {  // rows 68 to 101, slow tier
    const auto *bias = static_cast<const float *>(arguments[12]);
    multiply(*worker, Matrix<bf16, 34, 34>(arguments[14]), tiers.open, x,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 68 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  clear_padding<102>(*worker, step, y);
}
