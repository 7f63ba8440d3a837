// y = (x - mean(x)) / sqrt(var(x) + epsilon) * gain + bias
// x, y [columns, 34]
// reads 272 bytes of weights per token
#include "gsic/layers.h"

using namespace gsic;

extern "C" void gsic_layer_norm_34(const gsic_worker *worker, void *const *arguments) {
  const auto &step = *static_cast<const gsic_step *>(arguments[0]);
  const auto *x = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const auto *gain = static_cast<const float *>(arguments[3]);
  const auto *bias = static_cast<const float *>(arguments[4]);
  constexpr int stride = stride_of(34);
  const Range columns = share(*worker, step.columns);
  for (int column = columns.begin; column < columns.end; column++)
    layer_norm(34, x + column * stride, gain, bias, 0.0010000000474974513f, y + column * stride);
}
