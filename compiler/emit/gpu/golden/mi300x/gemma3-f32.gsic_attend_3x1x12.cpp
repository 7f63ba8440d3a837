// normalise the heads of query and key; rotate them by their position; append key and value to the cache; y = softmax(scale q K^T) V, causal, per head, over 6 positions
// source [columns, 60], K, V [1, length, 12], y [columns, 36]
// reads 96 bytes of the cache per position and 3 heads
#include "gsic/gpu/attention.h"

using namespace gsic;

using Parts = Cut<64, 6, 1>;
using Shape = Attention<3, 1, 12, 16, Parts, 3, 4, CacheF32, void>;

GSIC_KERNEL(gsic_attend_3x1x12, 4 * kWave, (const gsic_step *step, const float *source, float *y, float *keys, float *values, const float *angles, const float *query_gain, const float *key_gain)) {
  GSIC_SHARED(AttentionMemory<Shape>, memory);
  const AttentionInputs inputs{source, stride_of(60), 0, 36, 48,
                               reinterpret_cast<uint8_t *>(keys), reinterpret_cast<uint8_t *>(values) };
  const Rotary<12, Pairing::half> rotary{angles};
  const HeadNorm<Shape::head_dim> query_norm = {query_gain, 0.000009999999747378752f };
  const HeadNorm<Shape::head_dim> key_norm = {key_gain, 0.000009999999747378752f };
  attend_all<Shape>(inputs, step, rotary, query_norm, key_norm, 0.22360679507255554f, memory, y, nullptr);
}
