// y = softmax(scale q K^T) V, causal, per head
// q [columns, 2, 17], K, V [2, length, 17], y [columns, 34]
// reads 272 bytes of the cache per position
#include "gsic/attention.h"

using namespace gsic;

using Shape = Attention<2, 2, 17, 16>;

extern "C" void gsic_attend_2x2x17(const gsic_worker *worker, void *const *arguments) {
  const auto &step = *static_cast<const gsic_step *>(arguments[0]);
  const auto *source = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const auto *keys = static_cast<const uint8_t *>(arguments[3]);
  const auto *values = static_cast<const uint8_t *>(arguments[4]);
  constexpr int width = Shape::heads * Shape::head_dim;
  // All queries of a head of the cache, then those of the next; those of one sequence go through it together.
  const int together = step.columns * Shape::group;
  const Range items = share(*worker, Shape::kv_heads * together);
  for (int item = items.begin; item < items.end;) {
    const int kv = item / together, all = (kv + 1) * together, last = all < items.end ? all : items.end;
    const int run = step.column[item % together / Shape::group].first;
    Query queries[GSIC_MAX_QUERIES];
    int count = 0;
    uint64_t room = 0;
    for (; item < last && count < GSIC_MAX_QUERIES; item++, count++) {
      const int column = item % together / Shape::group, head = kv * Shape::group + item % Shape::group;
      if (step.column[column].first != run) break;
      const int end = step.column[column].position + 1;
      queries[count] = {source + column * stride_of(102) + 0 + head * Shape::head_dim,
                        y + column * stride_of(width) + head * Shape::head_dim, 0, end};
      room += uint64_t(queries[count].room());
      if (count > 0 && room > worker->scratch_floats) break;
    }
    const int64_t head = Shape::place(kv);
    attend<Shape>(queries, count, {keys + head, table_of(step, run)}, {values + head, table_of(step, run)}, 0.24253562092781067f, worker->scratch);
  }
  clear_padding<34>(*worker, step, y);
}
