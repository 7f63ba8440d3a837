// x = (h - mean(h)) / sqrt(var(h) + epsilon) * gain + bias; rho = ||x - V g|| / ||x|| < 0.1: y = M g + b, with M = W V, g = V^T x; else y = W x + b
// x [columns, 34], W bf16 [34, 34] + bf16 [34, 34] + bf16 [34, 34], M [34 + 34 + 34, 5], y [columns, 102]
// reads 1728 bytes of weights per token with the gate closed, 8640 with it open; the basis beside them
#include "gsic/gpu/functions.h"
#include "gsic/gpu/gate.h"

using namespace gsic;

GSIC_KERNEL(gsic_project_bf16_102x34_k5_layer, 16 * kWave, (const gsic_step *step, const float *x, float *y, const float *g, const double *squares, const void *basis, uint64_t *counters, const void *image0, const float *bias0, const void *image1, const float *bias1, const void *image2, const float *bias2, const void *weight0, const void *weight1, const void *weight2, const float *gain, const float *shift)) {
  using Memory = ProjectionMemory<16, 2880, 1>;
  GSIC_SHARED(Memory, memory);
  const Step now(step);
  const Columns columns = all_columns(now);
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
    multiply<Division<16, 1>>(
        Matrix<f16, 34, 5>(image0), tiers.closed, coordinates, memory, [&](int row, int column, const float *sum) {
          const int place = column * stride_of(102) + 0 + row;
          store(y + place, identity(sum[0] + load(bias0 + row)));
        });
  }
  {  // rows 34 to 67, fast tier
    multiply<Division<16, 1>>(
        Matrix<f16, 34, 5>(image1), tiers.closed, coordinates, memory, [&](int row, int column, const float *sum) {
          const int place = column * stride_of(102) + 34 + row;
          store(y + place, identity(sum[0] + load(bias1 + row)));
        });
  }
  {  // rows 68 to 101, fast tier
    multiply<Division<16, 1>>(
        Matrix<f16, 34, 5>(image2), tiers.closed, coordinates, memory, [&](int row, int column, const float *sum) {
          const int place = column * stride_of(102) + 68 + row;
          store(y + place, identity(sum[0] + load(bias2 + row)));
        });
  }
  {  // rows 0 to 33, slow tier
    multiply<Division<16, 1>>(
        Matrix<bf16, 34, 34>(weight0), tiers.open, source, memory, [&](int row, int column, const float *sum) {
          const int place = column * stride_of(102) + 0 + row;
          store(y + place, identity(sum[0] + load(bias0 + row)));
        });
  }
  {  // rows 34 to 67, slow tier
    multiply<Division<16, 1>>(
        Matrix<bf16, 34, 34>(weight1), tiers.open, source, memory, [&](int row, int column, const float *sum) {
          const int place = column * stride_of(102) + 34 + row;
          store(y + place, identity(sum[0] + load(bias1 + row)));
        });
  }
  {  // rows 68 to 101, slow tier
    multiply<Division<16, 1>>(
        Matrix<bf16, 34, 34>(weight2), tiers.open, source, memory, [&](int row, int column, const float *sum) {
          const int place = column * stride_of(102) + 68 + row;
          store(y + place, identity(sum[0] + load(bias2 + row)));
        });
  }
}
