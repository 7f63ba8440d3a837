// append key and value to the cache; y = softmax(scale q K^T) V, causal, per head
// source [columns, 102], K, V [2, length, 17], y [columns, 34]
// reads 272 bytes of the cache per position and 1 heads
#include "gsic/gpu/attention.h"

using namespace gsic;

using Parts = Cut<64, 48, 1>;
using Shape = Attention<2, 2, 17, 16, Parts, 1, 4, CacheF32, void>;

GSIC_KERNEL(gsic_attend_2x2x17, 4 * kWave, (const gsic_step *step, const float *source, float *y, float *keys, float *values)) {
  GSIC_SHARED(AttentionMemory<Shape>, memory);
  const AttentionInputs inputs{source, stride_of(102), 0, 34, 68,
                               reinterpret_cast<uint8_t *>(keys), reinterpret_cast<uint8_t *>(values) };
  const NoRotary rotary = {};
  const NoHeadNorm query_norm = {}, key_norm = {};
  attend_all<Shape>(inputs, step, rotary, query_norm, key_norm, 0.24253562092781067f, memory, y, nullptr);
}
