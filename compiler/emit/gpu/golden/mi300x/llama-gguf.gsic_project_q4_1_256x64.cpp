// y = W x + residual
// x [columns, 64], W q4_1 [256, 64], y [columns, 256]
// reads 10240 bytes of weights per token
#include "gsic/gpu/functions.h"
#include "gsic/gpu/gate.h"

using namespace gsic;

GSIC_KERNEL(gsic_project_q4_1_256x64, 16 * kWave, (const gsic_step *step, const float *x, float *y, const float *residual, const void *weight0)) {
  using Memory = ProjectionMemory<16, 4224, 1>;
  GSIC_SHARED(Memory, memory);
  const Step now(step);
  const Columns columns = all_columns(now);
  const Direct<64> source{x};
  {  // rows 0 to 255
    multiply<Division<16, 1>>(
        Matrix<q4_1, 256, 64>(weight0), columns, source, memory, [&](int row, int column, const float *sum) {
          const int place = column * stride_of(256) + 0 + row;
          store(y + place, identity(sum[0]) + load(residual + place));
        });
  }
}
