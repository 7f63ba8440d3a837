// rotate query and key by their position; append key and value to the cache
// source [columns, 128], cache [2, length, 16] twice
// reads 64 bytes of weights per token
#include "gsic/attention.h"

using namespace gsic;

using Shape = Attention<4, 2, 16, 16>;

extern "C" void gsic_cache_4x2x16(const gsic_worker *worker, void *const *arguments) {
  const auto &step = *static_cast<const gsic_step *>(arguments[0]);
  auto *source = static_cast<float *>(arguments[1]);
  auto *keys = static_cast<uint8_t *>(arguments[2]);
  auto *values = static_cast<uint8_t *>(arguments[3]);
  const Range columns = share(*worker, step.columns);
  for (int column = columns.begin; column < columns.end; column++) {
    const int position = step.column[column].position;
    const int64_t *table = table_of(step, column);
    float *row = source + column * stride_of(128);
    const float *angles = static_cast<const float *>(arguments[4]) + int64_t(position) * 16;
    for (int head = 0; head < Shape::heads; head++)
      rotate<Pairing::adjacent>(16, row + 0 + head * Shape::head_dim, angles);
    for (int head = 0; head < Shape::kv_heads; head++)
      rotate<Pairing::adjacent>(16, row + 64 + head * Shape::head_dim, angles);
    append<Shape>(row + 64, keys, table, position);
    append<Shape>(row + 96, values, table, position);
  }
}
