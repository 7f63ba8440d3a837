// x = (h - mean(h)) / sqrt(var(h) + epsilon) * gain + bias; y = gelu_tanh(W x + b)
// x [columns, 34], W bf16 [136, 34], y [columns, 136]
// reads 10880 bytes of weights per token
#include "gsic/gpu/functions.h"
#include "gsic/gpu/ahead.h"

using namespace gsic;

GSIC_KERNEL(gsic_project_bf16_136x34_layer, 16 * kWave, (const gsic_step *step, const float *x, const float *gain, const float *shift, float *y, const void *weight0, const float *bias0)) {
  using Memory = ProjectionMemory<16, 2880, 1>;
  GSIC_SHARED(Memory, memory);
  constexpr int chunk = first_chunk<Division<16, 1>, bf16, 34, 2880>();
  HeldNormalised<16, 34, chunk, true> held(x, gain, shift);
  issued();
  together(workgroup_count(), step, x, gain, shift, y, weight0, bias0);
  const Columns columns = all_columns(step);
  using Sums = WorkgroupSum<16, float>;
  GSIC_SHARED(Sums, sums);
  GSIC_SHARED(ColumnMoments, moments);
  const Normalised<34, true> source{x, gain, shift, &moments};
  const auto prepare = [&] { held.normalise(shift != nullptr, 0.0010000000474974513f, sums, moments); };
  const auto measure_all = [&] { measure<16, 34, true>(x, columns, 0.0010000000474974513f, sums, moments); };
  {  // rows 0 to 135
    using Work = Division<16, 1>;
    const Matrix<bf16, 136, 34> matrix(weight0);
    const auto place = [](int row, int column) { return column * stride_of(136) + 0 + row; };
    const auto beside = [&](int row, int column) -> Addends {
      return { load(bias0 + row), 0 };
    };
    const auto finish = [&](int row, int column, const float *sum, const Addends &add) {
      store(y + place(row, column), gelu_tanh(sum[0] + add.value[0]));
    };
    if (is_alone(step))
      multiply_alone<Work, true>(matrix, source, held, memory, prepare, beside, finish);
    else if (!kOneColumn) {
      measure_all();
      multiply<Work>(matrix, columns, source, memory, with_addends(beside, finish));
    }
  }
}
