// normalise the heads of query and key; rotate them by their position; append key and value to the cache; y = softmax(scale q K^T) V, causal, per head, over 6 positions
// source [columns, 60], K, V [1, length, 12], y [columns, 36]
// reads 96 bytes of the cache per position and 3 heads
#include "gsic/gpu/attention.h"

using namespace gsic;

using Shape = Attention<3, 1, 12, 16, 6, 8>;

GSIC_KERNEL(gsic_attend_3x1x12, 8 * kWave, (const gsic_step *step, const float *source, float *y, float *keys, float *values, const float *angles, const float *query_gain, const float *key_gain)) {
  GSIC_SHARED(AttentionMemory<Shape>, memory);
  const Step now(step);
  const AttentionInputs inputs{source, stride_of(60), 0, 36, 48, keys, values};
  const Rotary<12, Pairing::half> rotary{angles};
  const HeadNorm<Shape::head_dim> query_norm = {query_gain, 0.000009999999747378752f };
  const HeadNorm<Shape::head_dim> key_norm = {key_gain, 0.000009999999747378752f };
  for (int item = workgroup_index(); item < now.columns * Shape::heads; item += workgroup_count()) {
    const int column = item / Shape::heads, head = item % Shape::heads;
    attend<Shape>(inputs, now, rotary, query_norm, key_norm, column, head, 0.22360679507255554f, memory,
                  y + column * stride_of(Shape::heads * Shape::head_dim) + head * Shape::head_dim);
  }
}
