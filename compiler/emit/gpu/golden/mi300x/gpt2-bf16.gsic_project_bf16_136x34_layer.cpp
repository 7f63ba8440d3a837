// x = (h - mean(h)) / sqrt(var(h) + epsilon) * gain + bias; y = gelu_tanh(W x + b)
// x [columns, 34], W bf16 [136, 34], y [columns, 136]
// reads 10880 bytes of weights per token
#include "gsic/gpu/functions.h"
#include "gsic/gpu/gate.h"

using namespace gsic;

GSIC_KERNEL(gsic_project_bf16_136x34_layer, 16 * kWave, (const gsic_step *step, const float *x, float *y, const void *weight0, const float *bias0, const float *gain, const float *shift)) {
  using Memory = ProjectionMemory<16, 2880, 1>;
  GSIC_SHARED(Memory, memory);
  const Step now(step);
  const Columns columns = all_columns(now);
  using Sums = WorkgroupSum<16, float>;
  GSIC_SHARED(Sums, sums);
  GSIC_SHARED(ColumnMoments, moments);
  const Normalised<34, true> source{x, gain, shift, &moments};
  measure<16, 34, true>(x, columns, 0.0010000000474974513f, sums, moments);
  {  // rows 0 to 135
    multiply<Division<16, 1>>(
        Matrix<bf16, 136, 34>(weight0), columns, source, memory, [&](int row, int column, const float *sum) {
          const int place = column * stride_of(136) + 0 + row;
          store(y + place, gelu_tanh(sum[0] + load(bias0 + row)));
        });
  }
}
