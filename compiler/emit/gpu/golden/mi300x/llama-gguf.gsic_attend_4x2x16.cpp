// rotate them by their position; append key and value to the cache; y = softmax(scale q K^T) V, causal, per head
// source [columns, 128], K, V [2, length, 16], y [columns, 64]
// reads 256 bytes of the cache per position and 2 heads
#include "gsic/gpu/attention.h"

using namespace gsic;

using Parts = Cut<64, 64, 1>;
using Shape = Attention<4, 2, 16, 16, Parts, 2, 4, CacheF32, void>;

GSIC_KERNEL(gsic_attend_4x2x16, 4 * kWave, (const gsic_step *step, const float *source, float *y, float *keys, float *values, const float *angles)) {
  GSIC_SHARED(AttentionMemory<Shape>, memory);
  const AttentionInputs inputs{source, stride_of(128), 0, 64, 96,
                               reinterpret_cast<uint8_t *>(keys), reinterpret_cast<uint8_t *>(values) };
  const Rotary<16, Pairing::adjacent> rotary{angles};
  const NoHeadNorm query_norm = {}, key_norm = {};
  attend_all<Shape>(inputs, step, rotary, query_norm, key_norm, 0.25f, memory, y, nullptr);
}
