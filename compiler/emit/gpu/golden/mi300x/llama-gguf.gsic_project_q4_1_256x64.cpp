// y = W x + residual
// x [columns, 64], W q4_1 [256, 64], y [columns, 256]
// reads 10240 bytes of weights per token
#include "gsic/gpu/functions.h"
#include "gsic/gpu/ahead.h"

using namespace gsic;

GSIC_KERNEL(gsic_project_q4_1_256x64, 16 * kWave, (const gsic_step *step, const float *x, float *y, const float *residual, const void *weight0)) {
  using Memory = ProjectionMemory<16, 4224, 1>;
  GSIC_SHARED(Memory, memory);
  constexpr int chunk = first_chunk<Division<16, 1>, q4_1, 64, 4224>();
  HeldColumn<16, Direct<64>, chunk> held(x);
  issued();
  together(workgroup_count(), step, x, y, residual, weight0);
  const Columns columns = all_columns(step);
  const Direct<64> source{x};
  const auto prepare = [&] { held.prepare(); };
  const auto measure_all = [] {};
  {  // rows 0 to 255
    using Work = Division<16, 1>;
    const Matrix<q4_1, 256, 64> matrix(weight0);
    const auto place = [](int row, int column) { return column * stride_of(256) + 0 + row; };
    const auto beside = [&](int row, int column) -> Addends {
      return { 0, load(residual + place(row, column)) };
    };
    const auto finish = [&](int row, int column, const float *sum, const Addends &add) {
      store(y + place(row, column), identity(sum[0]) + add.value[1]);
    };
    if (is_alone(step))
      multiply_alone<Work, true>(matrix, source, held, memory, prepare, beside, finish);
    else if (!kOneColumn) {
      measure_all();
      multiply<Work>(matrix, columns, source, memory, with_addends(beside, finish));
    }
  }
}
