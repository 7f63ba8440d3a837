// How attention cuts the positions that a column sees into parts, and what it leaves of each.
#ifndef GSIC_GPU_PARTS_H
#define GSIC_GPU_PARTS_H

#include "gsic/gpu/columns.h"

namespace gsic {

constexpr int least(int a, int b) { return a < b ? a : b; }

/// Positions are cut at multiples of `Part`; a query sees `Window` positions, its own among them, which lie in
/// `MostParts` parts at most. The projection behind attention adds up parts where it stages them, `Staged` at most, if
/// that is not 0.
template <int Part, int Window, int MostParts, int Staged = 0> struct Cut {
  static constexpr int part = Part, window = Window, most_parts = MostParts, staged = Staged;

  /// The oldest position that a column sees, the part that it lies in, and how many parts it sees.
  struct Seen {
    int oldest, first, count;
  };
  static Seen parts_of(int position) {
    const int oldest = position - Window + 1 > 0 ? position - Window + 1 : 0;
    return {oldest, oldest / Part, position / Part - oldest / Part + 1};
  }
  /// Of the columns of a pass, the most parts that one sees.
  static int most_parts_of(const gsic_step &step) {
    int most = 1;
    GSIC_KEEP_LOOP
    for (int column = 0; column < step.columns; column++) {
      const int count = parts_of(step.column[column].position).count;
      most = count > most ? count : most;
    }
    return most;
  }
};

/// The largest score of a part, and the sum of e^(score - largest), which is 0 of a part that is not there.
struct alignas(8) PartHeader {
  float largest, weight;
};

/// What attention leaves of the parts of columns that see several, or of all columns where a projection stages parts:
/// [columns, heads, parts], each a header, and from `kHeader` on the sum of values with the weights that it has the sum
/// of. Where a projection stages parts, and a column has fewer, headers say that the others are not there; of a column
/// that has more, the first part is made all of them.
template <int Heads, int HeadDim, class Cut> struct PartialSums {
  static constexpr int kHeader = 4, row = kHeader + (HeadDim + 15) / 16 * 16;

  static int64_t place(int column, int head, int part) {
    return int64_t(column) * stride_of(Heads * Cut::most_parts * row) + (head * Cut::most_parts + part) * row;
  }
  static PartHeader header(const float *of_head, int part) {
    return load(reinterpret_cast<const PartHeader *>(of_head + part * row));
  }
  static void leave_header(float *of_head, int part, const PartHeader &header) {
    store(reinterpret_cast<PartHeader *>(of_head + part * row), header);
  }
  /// That parts from `part` on, as far as they are staged, are not there.
  static void leave_none(float *of_head, int part) {
    for (; part < Cut::staged; part++) leave_header(of_head, part, {-__builtin_inff(), 0});
  }
};

/// Copies a pass's step to LDS, in one round trip to memory. A barrier must follow.
inline void stage_step(const gsic_step *step, gsic_step &staged) {
  if (thread_index() >= int(sizeof(gsic_step) / sizeof(int64_t))) return;
  const int64_t word = load_fresh(reinterpret_cast<const int64_t *>(step) + thread_index());
  __builtin_memcpy(reinterpret_cast<char *>(&staged) + thread_index() * sizeof word, &word, sizeof word);
}

/// The largest of some numbers.
template <int N> inline float largest_of(const float (&x)[N]) {
  float largest = x[0];
  for (int i = 1; i < N; i++) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

}  // namespace gsic

#endif
