// rho = ||x - V g|| / ||x|| < 0.1: y = silu(M_gate g) * (M_up g), with M = W V, g = V^T x; else y = silu(W_gate x) * (W_up x)
// x [columns, 256], W q4_k [64, 256] + q4_k [64, 256], M [64 + 64, 5], y [columns, 64]
// reads 8192 bytes of weights per token with the gate closed, 18944 with it open; the basis beside them
#include "gsic/gate.h"
#include "gsic/math.h"

using namespace gsic;

extern "C" void gsic_glu_q4_k_64x256_k5(const gsic_worker *worker, void *const *arguments) {
  const auto &step = *static_cast<const gsic_step *>(arguments[0]);
  const auto *x = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const Columns columns = all_columns(step);
  const auto *g = static_cast<const float *>(arguments[3]);
  const Decision tiers = decide(*worker, columns, Matrix<f16, 5, 256>(arguments[4]), x, g,
                                0.1, static_cast<uint64_t *>(arguments[5]));
  {  // gate and up, fast tier
    multiply_pair(*worker, Matrix<f16, 64, 5>(arguments[6]),
                  Matrix<f16, 64, 5>(arguments[7]), tiers.closed, g,
                  [=](int row, int column, float gate, float up) {
                    y[column * stride_of(64) + row] =
                        silu(gate) * (up);
                  });
  }
  {  // gate and up, slow tier
    multiply_pair(*worker, Matrix<q4_k, 64, 256>(arguments[8]),
                  Matrix<q4_k, 64, 256>(arguments[9]), tiers.open, x,
                  [=](int row, int column, float gate, float up) {
                    y[column * stride_of(64) + row] =
                        silu(gate) * (up);
                  });
  }
}
