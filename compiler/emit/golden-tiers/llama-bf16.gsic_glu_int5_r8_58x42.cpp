// y = silu(Q_gate x + A_gate (B^T x)) * (Q_up x + A_up (B^T x))
// x [columns, 42], Q 5 bits/32 [58, 42] + 5 bits/32 [58, 42], A [58 + 58, 8], B^T [8, 42], y [columns, 58]
// reads 8832 bytes of weights per token
#include "gsic/gate.h"
#include "gsic/math.h"
#include "gsic/quantized_gate.h"

using namespace gsic;

extern "C" void gsic_glu_int5_r8_58x42(const gsic_worker *worker, void *const *arguments) {
  const auto &step = *static_cast<const gsic_step *>(arguments[0]);
  const auto *x = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const Columns columns = all_columns(step);
  const QuantizedInput<42, 8> integers(columns, x,
      Quantized<8, 42, 8, 64, true>(arguments[3]));
  {  // gate and up
    multiply_pair(*worker, Quantized<58, 42, 5, 32, true, 8>(arguments[4]),
                  Quantized<58, 42, 5, 32, true, 8>(arguments[5]), columns, integers,
                  [=](int row, int column, float gate, float up) {
                    y[column * stride_of(58) + row] =
                        silu(gate) * (up);
                  });
  }
  clear_padding<58>(*worker, step, y);
}
