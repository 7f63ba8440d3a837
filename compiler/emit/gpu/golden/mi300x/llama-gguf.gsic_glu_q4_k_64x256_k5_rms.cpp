// x = h / sqrt(mean(h^2) + epsilon) * gain; rho = ||x - V g|| / ||x|| < 0.1: y = silu(M_gate g) * (M_up g), with M = W V, g = V^T x; else y = silu(W_gate x) * (W_up x)
// x [columns, 256], W q4_k [64, 256] + q4_k [64, 256], M [64 + 64, 5], y [columns, 64]
// reads 2048 bytes of weights per token with the gate closed, 18432 with it open; the basis beside them
#include "gsic/gpu/functions.h"
#include "gsic/gpu/gate.h"

using namespace gsic;

GSIC_KERNEL(gsic_glu_q4_k_64x256_k5_rms, 16 * kWave, (const gsic_step *step, const float *x, const float *gain, float *y, const void *basis, uint64_t *counters, const void *gate_image, const void *up_image, const void *gate_weight, const void *up_weight)) {
  using Memory = ProjectionMemory<16, 18432, 2>;
  GSIC_SHARED(Memory, memory);
  const Columns columns = all_columns(Step(step));
  using Sums = WorkgroupSum<16, float>;
  GSIC_SHARED(Sums, sums);
  GSIC_SHARED(ColumnMoments, moments);
  const Normalised<256, false> source{x, gain, nullptr, &moments};
  measure<16, 256, false>(x, columns, 0.000009999999747378752f, sums, moments);
  GSIC_SHARED(GateMemory<16>, gate);
  GSIC_SHARED(FactorsMemory<8>, own);
  const OwnFactors<8> factors{own};
  square_columns(source, columns, gate.sums, [&](int column, double square) { own.squares[column] = square; });
  compute_factor<Division<16, 2>, 0>(Matrix<f16, 5, 256>(basis), columns, source, memory, own);
  const auto coordinates = part_of<0, 5>(factors);
  Decision tiers = decide_by_norms(columns, coordinates, 0.1, gate);
  if (!tiers.near.empty()) settle(tiers, Matrix<f16, 5, 256>(basis), source, coordinates, 0.1, gate);
  count_tiers(tiers, counters);
  {  // gate and up, fast tier
    using Work = Division<16, 1>;
    const Matrix<f16, 64, 5> first(gate_image);
    const Matrix<f16, 64, 5> second(up_image);
    const auto beside = [&](int row, int column) -> Addends {
      return { 0, 0 };
    };
    const auto finish = [&](int row, int column, const float *sum, const Addends &add) {
      store(y + column * stride_of(64) + row,
            silu(sum[0]) * (sum[1]));
    };
    multiply_pair<Work>(first, second, tiers.closed, coordinates, memory, with_addends(beside, finish));
  }
  {  // gate and up, slow tier
    using Work = Division<16, 1>;
    const Matrix<q4_k, 64, 256> first(gate_weight);
    const Matrix<q4_k, 64, 256> second(up_weight);
    const auto beside = [&](int row, int column) -> Addends {
      return { 0, 0 };
    };
    const auto finish = [&](int row, int column, const float *sum, const Addends &add) {
      store(y + column * stride_of(64) + row,
            silu(sum[0]) * (sum[1]));
    };
    multiply_pair<Work>(first, second, tiers.open, source, memory, with_addends(beside, finish));
  }
}
