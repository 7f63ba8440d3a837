// y = softmax(scale q K^T) V, causal, per head
// q [columns, 2, 17], K, V [2, length, 17], y [columns, 34]
// reads 272 bytes of the cache per position
#include "gsic/attention.h"

using namespace gsic;

using Shape = Attention<2, 2, 17, 48>;

extern "C" void gsic_attend_2x2x17(const gsic_worker *worker, void *const *arguments) {
  const auto &step = *static_cast<const gsic_step *>(arguments[0]);
  const auto *source = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const auto *keys = static_cast<const float *>(arguments[3]);
  const auto *values = static_cast<const float *>(arguments[4]);
  constexpr int width = Shape::heads * Shape::head_dim;
  const Range items = share(*worker, step.columns * Shape::heads);
  for (int item = items.begin; item < items.end; item++) {
    const int column = item / Shape::heads, head = item % Shape::heads;
    const int64_t cached = Shape::place(head / Shape::group, 0);
    attend<Shape>(source + column * stride_of(102) + 0 + head * Shape::head_dim,
                  keys + cached, values + cached, 0.24253562092781067f, step.position + column + 1, worker->scratch,
                  y + column * stride_of(width) + head * Shape::head_dim);
  }
  clear_padding<34>(*worker, step, y);
}
