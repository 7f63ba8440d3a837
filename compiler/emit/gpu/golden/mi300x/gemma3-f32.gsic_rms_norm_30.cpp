// y = x / sqrt(mean(x^2) + epsilon) * gain + residual
// x, y [columns, 30]
// reads 120 bytes of weights per token
#include "gsic/gpu/source.h"

using namespace gsic;

GSIC_KERNEL(gsic_rms_norm_30, 4 * kWave, (const gsic_step *step, const float *x, float *y, const float *gain, const float *residual)) {
  using Sums = WorkgroupSum<4, float>;
  GSIC_SHARED(Sums, sums);
  GSIC_SHARED(ColumnMoments, moments);
  const Step now(step);
  for (int column = workgroup_index(); column < now.columns(); column += workgroup_count()) {
    measure<4, 30, false>(x, Columns{1u << column}, 0.000009999999747378752f, sums, moments);
    const Normalised<30, false> source{x, gain, nullptr, &moments};
    for (int i = thread_index(); i < 30; i += 4 * kWave) {
      float value[1];
      source.read(column, i, value);
      const int place = column * stride_of(30) + i;
      store(y + place, value[0] + load(residual + place));
    }
    barrier();
  }
}
