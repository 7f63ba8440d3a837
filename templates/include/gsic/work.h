// How workers share a launch, and which columns (tokens) it works on.
#ifndef GSIC_WORK_H
#define GSIC_WORK_H

#include "gsic/abi.h"
#include "gsic/dialect/cpu.h"
#include "gsic/value.h"

namespace gsic {

struct Range {
  int begin, end;
};

/// The contiguous share of `count` items that falls to this worker.
inline Range share(const gsic_worker &worker, int count) {
  const int64_t index = worker.index, workers = worker.count;
  return {int(count * index / workers), int(count * (index + 1) / workers)};
}

/// The columns of a pass that a kernel works on.
struct Columns {
  int count = 0;
  int index[GSIC_MAX_COLUMNS];
  void push(int column) { index[count++] = column; }
};

inline Columns all_columns(const gsic_step &step) {
  Columns columns;
  for (int column = 0; column < step.columns; column++) columns.push(column);
  return columns;
}

/// Those whose logits are wanted.
inline Columns wanted_columns(const gsic_step &step) {
  Columns columns;
  for (int column = 0; column < step.columns; column++)
    if (step.wanted >> column & 1) columns.push(column);
  return columns;
}

/// How many of `count` columns go first, where at most `most` go together, so that all parts have about one size.
inline int even_part(int count, int most) {
  const int parts = (count + most - 1) / most;
  return (count + parts - 1) / parts;
}

/// Zeroes what lies beyond `width` in the rows of a value.
template <int Width> inline void clear_padding(const gsic_worker &worker, const gsic_step &step, float *value) {
  if (worker.index != 0) return;
  for (int column = 0; column < step.columns; column++)
    for (int i = Width; i < stride_of(Width); i++) value[column * stride_of(Width) + i] = 0.0f;
}

}  // namespace gsic

#endif
