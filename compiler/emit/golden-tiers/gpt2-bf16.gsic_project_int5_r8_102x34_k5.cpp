// rho = ||x - V g|| / ||x|| < 0.1: y = M g + b, with M = W V, g = V^T x; else ||S x|| / ||x|| < 0.2: y = Q x + A (B^T x) + b; else y = W x + b
// x [columns, 34], W bf16 [34, 34] + bf16 [34, 34] + bf16 [34, 34], Q 5 bits/32 [34, 34] + 5 bits/32 [34, 34] + 5 bits/32 [34, 34], A [34 + 34 + 34, 8], B^T [8, 34], M [34 + 34 + 34, 5], y [columns, 102]
// reads 6912 bytes of weights per token with the gate closed, 9792 between the gates, 13824 with it open; what the gates read beside them
#include "gsic/gate.h"
#include "gsic/math.h"
#include "gsic/quantized_gate.h"

using namespace gsic;

extern "C" void gsic_project_int5_r8_102x34_k5(const gsic_worker *worker, void *const *arguments) {
  const auto &step = *static_cast<const gsic_step *>(arguments[0]);
  const auto *x = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const Columns columns = all_columns(step);
  const auto *g = static_cast<const float *>(arguments[3]);
  const Decision tiers = decide(*worker, columns, Matrix<f16, 5, 34>(arguments[4]), x, g,
                                0.1, static_cast<uint64_t *>(arguments[5]));
  const QuantizedInput<34, 8> integers(tiers.open, x,
      Quantized<8, 34, 8, 64, true>(arguments[8]));
  const Decision exact = decide(*worker, tiers.open, Quantized<3, 34, 8, 64, true>(arguments[6]), integers, x,
                                0.2, static_cast<uint64_t *>(arguments[7]));
  {  // rows 0 to 33, fast tier
    const auto *bias = static_cast<const float *>(arguments[9]);
    multiply(*worker, Matrix<f16, 34, 5>(arguments[10]), tiers.closed, g,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 0 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  {  // rows 0 to 33, middle tier
    const auto *bias = static_cast<const float *>(arguments[9]);
    multiply(*worker, Quantized<34, 34, 5, 32, true, 8>(arguments[11]), exact.closed, integers,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 0 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  {  // rows 0 to 33, slow tier
    const auto *bias = static_cast<const float *>(arguments[9]);
    multiply(*worker, Matrix<bf16, 34, 34>(arguments[12]), exact.open, x,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 0 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  {  // rows 34 to 67, fast tier
    const auto *bias = static_cast<const float *>(arguments[13]);
    multiply(*worker, Matrix<f16, 34, 5>(arguments[14]), tiers.closed, g,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 34 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  {  // rows 34 to 67, middle tier
    const auto *bias = static_cast<const float *>(arguments[13]);
    multiply(*worker, Quantized<34, 34, 5, 32, true, 8>(arguments[15]), exact.closed, integers,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 34 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  {  // rows 34 to 67, slow tier
    const auto *bias = static_cast<const float *>(arguments[13]);
    multiply(*worker, Matrix<bf16, 34, 34>(arguments[16]), exact.open, x,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 34 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  {  // rows 68 to 101, fast tier
    const auto *bias = static_cast<const float *>(arguments[17]);
    multiply(*worker, Matrix<f16, 34, 5>(arguments[18]), tiers.closed, g,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 68 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  {  // rows 68 to 101, middle tier
    const auto *bias = static_cast<const float *>(arguments[17]);
    multiply(*worker, Quantized<34, 34, 5, 32, true, 8>(arguments[19]), exact.closed, integers,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 68 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  {  // rows 68 to 101, slow tier
    const auto *bias = static_cast<const float *>(arguments[17]);
    multiply(*worker, Matrix<bf16, 34, 34>(arguments[20]), exact.open, x,
             [=](int row, int column, float value) {
               const int place = column * stride_of(102) + 68 + row;
               y[place] = identity(value + bias[row]);
             });
  }
  clear_padding<102>(*worker, step, y);
}
