// x = (h - mean(h)) / sqrt(var(h) + epsilon) * gain + bias; rho = ||x - V g|| / ||x|| < 0.1: y = M g + b, with M = W V, g = V^T x; else y = W x + b
// x [columns, 34], W bf16 [34, 34] + bf16 [34, 34] + bf16 [34, 34], M [34 + 34 + 34, 5], y [columns, 102]
// reads 1728 bytes of weights per token with the gate closed, 8640 with it open; the basis beside them
#include "gsic/gpu/functions.h"
#include "gsic/gpu/gate.h"

using namespace gsic;

GSIC_KERNEL(gsic_project_bf16_102x34_k5_layer, 16 * kWave, (const gsic_step *step, const float *x, const float *gain, const float *shift, float *y, const float *g, const double *squares, const void *basis, uint64_t *counters, const void *image0, const float *bias0, const void *image1, const float *bias1, const void *image2, const float *bias2, const void *weight0, const void *weight1, const void *weight2)) {
  using Memory = ProjectionMemory<16, 2880, 1>;
  GSIC_SHARED(Memory, memory);
  const Columns columns = all_columns(Step(step));
  using Sums = WorkgroupSum<16, float>;
  GSIC_SHARED(Sums, sums);
  GSIC_SHARED(ColumnMoments, moments);
  const Normalised<34, true> source{x, gain, shift, &moments};
  GSIC_SHARED(GateMemory<16>, gate);
  const GivenFactors<8> factors{g, squares };
  const auto coordinates = part_of<0, 5>(factors);
  Decision tiers = decide_by_norms(columns, coordinates, 0.1, gate);
  if (tiers.open.mask | tiers.near.mask)
    measure<16, 34, true>(x, Columns{tiers.open.mask | tiers.near.mask}, 0.0010000000474974513f, sums, moments);
  if (!tiers.near.empty()) settle(tiers, Matrix<f16, 5, 34>(basis), source, coordinates, 0.1, gate);
  count_tiers(tiers, counters);
  {  // rows 0 to 33, fast tier
    using Work = Division<16, 1>;
    const Matrix<f16, 34, 5> matrix(image0);
    const auto place = [](int row, int column) { return column * stride_of(102) + 0 + row; };
    const auto beside = [&](int row, int column) -> Addends {
      return { load(bias0 + row), 0 };
    };
    const auto finish = [&](int row, int column, const float *sum, const Addends &add) {
      store(y + place(row, column), identity(sum[0] + add.value[0]));
    };
    multiply<Work>(matrix, tiers.closed, coordinates, memory, with_addends(beside, finish));
  }
  {  // rows 34 to 67, fast tier
    using Work = Division<16, 1>;
    const Matrix<f16, 34, 5> matrix(image1);
    const auto place = [](int row, int column) { return column * stride_of(102) + 34 + row; };
    const auto beside = [&](int row, int column) -> Addends {
      return { load(bias1 + row), 0 };
    };
    const auto finish = [&](int row, int column, const float *sum, const Addends &add) {
      store(y + place(row, column), identity(sum[0] + add.value[0]));
    };
    multiply<Work>(matrix, tiers.closed, coordinates, memory, with_addends(beside, finish));
  }
  {  // rows 68 to 101, fast tier
    using Work = Division<16, 1>;
    const Matrix<f16, 34, 5> matrix(image2);
    const auto place = [](int row, int column) { return column * stride_of(102) + 68 + row; };
    const auto beside = [&](int row, int column) -> Addends {
      return { load(bias2 + row), 0 };
    };
    const auto finish = [&](int row, int column, const float *sum, const Addends &add) {
      store(y + place(row, column), identity(sum[0] + add.value[0]));
    };
    multiply<Work>(matrix, tiers.closed, coordinates, memory, with_addends(beside, finish));
  }
  {  // rows 0 to 33, slow tier
    using Work = Division<16, 1>;
    const Matrix<bf16, 34, 34> matrix(weight0);
    const auto place = [](int row, int column) { return column * stride_of(102) + 0 + row; };
    const auto beside = [&](int row, int column) -> Addends {
      return { load(bias0 + row), 0 };
    };
    const auto finish = [&](int row, int column, const float *sum, const Addends &add) {
      store(y + place(row, column), identity(sum[0] + add.value[0]));
    };
    multiply<Work>(matrix, tiers.open, source, memory, with_addends(beside, finish));
  }
  {  // rows 34 to 67, slow tier
    using Work = Division<16, 1>;
    const Matrix<bf16, 34, 34> matrix(weight1);
    const auto place = [](int row, int column) { return column * stride_of(102) + 34 + row; };
    const auto beside = [&](int row, int column) -> Addends {
      return { load(bias1 + row), 0 };
    };
    const auto finish = [&](int row, int column, const float *sum, const Addends &add) {
      store(y + place(row, column), identity(sum[0] + add.value[0]));
    };
    multiply<Work>(matrix, tiers.open, source, memory, with_addends(beside, finish));
  }
  {  // rows 68 to 101, slow tier
    using Work = Division<16, 1>;
    const Matrix<bf16, 34, 34> matrix(weight2);
    const auto place = [](int row, int column) { return column * stride_of(102) + 68 + row; };
    const auto beside = [&](int row, int column) -> Addends {
      return { load(bias2 + row), 0 };
    };
    const auto finish = [&](int row, int column, const float *sum, const Addends &add) {
      store(y + place(row, column), identity(sum[0] + add.value[0]));
    };
    multiply<Work>(matrix, tiers.open, source, memory, with_addends(beside, finish));
  }
}
