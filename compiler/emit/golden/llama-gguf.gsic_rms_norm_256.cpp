// y = x / sqrt(mean(x^2) + epsilon) * gain
// x, y [columns, 256]
// reads 1024 bytes of weights per token
#include "gsic/layers.h"

using namespace gsic;

extern "C" void gsic_rms_norm_256(const gsic_worker *worker, void *const *arguments) {
  const auto &step = *static_cast<const gsic_step *>(arguments[0]);
  const auto *x = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const auto *gain = static_cast<const float *>(arguments[3]);
  constexpr int stride = stride_of(256);
  const Range columns = share(*worker, step.columns);
  for (int column = columns.begin; column < columns.end; column++)
    rms_norm(256, x + column * stride, gain, 0.000009999999747378752f, y + column * stride);
}
