// x = h / sqrt(mean(h^2) + epsilon) * gain; y = W x
// x [columns, 256], W q6_k [131, 256], y [columns, 131]
// reads 27984 bytes of weights per token
#include "gsic/gpu/functions.h"
#include "gsic/gpu/ahead.h"

using namespace gsic;

GSIC_KERNEL(gsic_head_q6_k_131x256_rms, 16 * kWave, (const gsic_step *step, const float *x, const float *gain, float *y, const void *weight0)) {
  using Memory = ProjectionMemory<16, 16896, 1>;
  GSIC_SHARED(Memory, memory);
  constexpr int chunk = first_chunk<Division<16, 1>, q6_k, 256, 16896>();
  HeldNormalised<16, 256, chunk, false> held(x, gain, nullptr);
  issued();
  together(workgroup_count(), step, x, gain, y, weight0);
  const Columns columns = wanted_columns(step);
  using Sums = WorkgroupSum<16, float>;
  GSIC_SHARED(Sums, sums);
  GSIC_SHARED(ColumnMoments, moments);
  const Normalised<256, false> source{x, gain, nullptr, &moments};
  const auto prepare = [&] { held.normalise(nullptr != nullptr, 0.000009999999747378752f, sums, moments); };
  const auto measure_all = [&] { measure<16, 256, false>(x, columns, 0.000009999999747378752f, sums, moments); };
  {  // rows 0 to 130
    using Work = Division<16, 1>;
    const Matrix<q6_k, 131, 256> matrix(weight0);
    const auto place = [](int row, int column) { return column * stride_of(131) + 0 + row; };
    const auto beside = [&](int row, int column) -> Addends {
      return { 0, 0 };
    };
    const auto finish = [&](int row, int column, const float *sum, const Addends &add) {
      store(y + place(row, column), identity(sum[0]));
    };
    if (is_alone(step))
      multiply_alone<Work, true>(matrix, source, held, memory, prepare, beside, finish);
    else if (!kOneColumn) {
      measure_all();
      multiply<Work>(matrix, columns, source, memory, with_addends(beside, finish));
    }
  }
}
