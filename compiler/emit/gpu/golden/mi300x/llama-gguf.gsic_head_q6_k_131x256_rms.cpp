// x = h / sqrt(mean(h^2) + epsilon) * gain; y = W x
// x [columns, 256], W q6_k [131, 256], y [columns, 131]
// reads 27984 bytes of weights per token
#include "gsic/gpu/functions.h"
#include "gsic/gpu/gate.h"

using namespace gsic;

GSIC_KERNEL(gsic_head_q6_k_131x256_rms, 16 * kWave, (const gsic_step *step, const float *x, float *y, const void *weight0, const float *gain)) {
  using Memory = ProjectionMemory<16, 16896, 1>;
  GSIC_SHARED(Memory, memory);
  const Step now(step);
  const Columns columns = wanted_columns(now);
  using Sums = WorkgroupSum<16, float>;
  GSIC_SHARED(Sums, sums);
  GSIC_SHARED(ColumnMoments, moments);
  const Normalised<256, false> source{x, gain, nullptr, &moments};
  measure<16, 256, false>(x, columns, 0.000009999999747378752f, sums, moments);
  {  // rows 0 to 130
    multiply<Division<16, 1>>(
        Matrix<q6_k, 131, 256>(weight0), columns, source, memory, [&](int row, int column, const float *sum) {
          const int place = column * stride_of(131) + 0 + row;
          store(y + place, identity(sum[0]));
        });
  }
}
