// x = (h - mean(h)) / sqrt(var(h) + epsilon) * gain + bias; g = V^T x
// x [columns, 34], V^T [5, 34], y [columns, 8]
// reads 640 bytes of weights per token
#include "gsic/gpu/functions.h"
#include "gsic/gpu/gate.h"

using namespace gsic;

GSIC_KERNEL(gsic_basis_5x34_layer, 16 * kWave, (const gsic_step *step, const float *x, float *y, const void *basis, const float *gain, const float *shift, double *squares)) {
  using Memory = ProjectionMemory<16, 2880, 1>;
  GSIC_SHARED(Memory, memory);
  const Columns columns = all_columns(Step(step));
  using Sums = WorkgroupSum<16, float>;
  GSIC_SHARED(Sums, sums);
  GSIC_SHARED(ColumnMoments, moments);
  const Normalised<34, true> source{x, gain, shift, &moments};
  measure<16, 34, true>(x, columns, 0.0010000000474974513f, sums, moments);
  GSIC_SHARED(GateMemory<16>, gate);
  if (workgroup_index() == 0)
    square_columns(source, columns, gate.sums, [&](int column, double square) { store(squares + column, square); });
  {  // rows 0 to 4
    using Work = Division<16, 1>;
    const Matrix<f16, 5, 34> matrix(basis);
    const auto place = [](int row, int column) { return column * stride_of(8) + 0 + row; };
    const auto beside = [&](int row, int column) -> Addends {
      return { 0, 0 };
    };
    const auto finish = [&](int row, int column, const float *sum, const Addends &add) {
      store(y + place(row, column), identity(sum[0]));
    };
    multiply<Work>(matrix, columns, source, memory, with_addends(beside, finish));
  }
}
