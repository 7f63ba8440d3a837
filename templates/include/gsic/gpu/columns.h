// The columns (tokens) of a pass that a GPU kernel works on.
#ifndef GSIC_GPU_COLUMNS_H
#define GSIC_GPU_COLUMNS_H

#include "gsic/dialect/gpu.h"
#include "gsic/value.h"

namespace gsic {

/// A set of columns; the same in all lanes.
struct Columns {
  uint32_t mask;

  int count() const { return __builtin_popcount(mask); }
  bool empty() const { return mask == 0; }
  /// The column that `number` others precede.
  int at(int number) const {
    uint32_t rest = mask;
    for (int i = 0; i < number; i++) rest &= rest - 1;
    return __builtin_ctz(rest);
  }
};

/// What a pass computes; what it says of a column is read when it is asked for.
struct Step {
  const gsic_step *own;
  int64_t words;  ///< how many columns, and those that are wanted: asked for, and not waited for
  explicit Step(const gsic_step *step) : own(step), words(load_fresh(reinterpret_cast<const int64_t *>(step))) {}

  int columns() const { return uniform(int(words)); }
  uint32_t wanted() const { return uint32_t(uniform(int(words >> 32))); }
  int token(int column) const { return load_fresh(&own->column[column].token); }
  int position(int column) const { return load_fresh(&own->column[column].position); }
  /// The first column of its run.
  int first(int column) const { return load_fresh(&own->column[column].first); }
  /// Where the blocks of its sequence lie in the cache, in floats.
  const int64_t *table(int column) const {
    return reinterpret_cast<const int64_t *>(own) + load_fresh(&own->column[column].table);
  }
};

/// Whether machine code for one column alone is made, to be counted.
#if defined(GSIC_COLUMNS) && GSIC_COLUMNS == 1
constexpr bool kOneColumn = true;
#else
constexpr bool kOneColumn = false;
#endif

/// Whether a pass has one column, as in decoding, of which a kernel is told by a null step.
inline bool is_alone(const gsic_step *step) { return kOneColumn || step == nullptr; }

/// All columns of a pass.
inline Columns all_columns(const Step &step) { return {(1u << step.columns()) - 1u}; }
inline Columns all_columns(const gsic_step *step) { return is_alone(step) ? Columns{1} : all_columns(Step(step)); }

/// Those whose logits are wanted.
inline Columns wanted_columns(const Step &step) { return {step.wanted()}; }
inline Columns wanted_columns(const gsic_step *step) {
  return is_alone(step) ? Columns{1} : wanted_columns(Step(step));
}

constexpr int power_of_two_from(int n) { return n <= 1 ? 1 : 2 * power_of_two_from((n + 1) / 2); }

/// How many columns a kernel is compiled for, as a type.
template <int Count> struct ColumnCount {
  static constexpr int value = Count;
};

/// Calls `body` with the least of 1, 4, 8, 16 that is at least `count`, which is not 0. GSIC_COLUMNS leaves one of
/// them, so that its machine code can be counted.
template <class Body> inline void with_column_count(int count, Body body) {
#if defined(GSIC_COLUMNS)
  (void)count;
  body(ColumnCount<GSIC_COLUMNS>{});
#else
  if (count == 1)
    body(ColumnCount<1>{});
  else if (count <= 4)
    body(ColumnCount<4>{});
  else if (count <= 8)
    body(ColumnCount<8>{});
  else
    body(ColumnCount<16>{});
#endif
}

}  // namespace gsic

#endif
