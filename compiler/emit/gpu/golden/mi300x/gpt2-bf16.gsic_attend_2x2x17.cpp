// append key and value to the cache; y = softmax(scale q K^T) V, causal, per head
// source [columns, 102], K, V [2, length, 17], y [columns, 34]
// reads 272 bytes of the cache per position and 1 heads
#include "gsic/gpu/attention.h"

using namespace gsic;

using Shape = Attention<2, 2, 17, 16, 48, 8>;

GSIC_KERNEL(gsic_attend_2x2x17, 8 * kWave, (const gsic_step *step, const float *source, float *y, float *keys, float *values)) {
  GSIC_SHARED(AttentionMemory<Shape>, memory);
  const Step now(step);
  const AttentionInputs inputs{source, stride_of(102), 0, 34, 68, keys, values};
  const NoRotary rotary = {};
  const NoHeadNorm query_norm = {}, key_norm = {};
  for (int item = workgroup_index(); item < now.columns * Shape::heads; item += workgroup_count()) {
    const int column = item / Shape::heads, head = item % Shape::heads;
    attend<Shape>(inputs, now, rotary, query_norm, key_norm, column, head, 0.24253562092781067f, memory,
                  y + column * stride_of(Shape::heads * Shape::head_dim) + head * Shape::head_dim);
  }
}
