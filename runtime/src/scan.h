// Passes over the logits of a token. A vocabulary has tens of thousands, so a loop of one at a time would cost a step
// of a small model several percent of its time.
#ifndef GSIC_SRC_SCAN_H
#define GSIC_SRC_SCAN_H

#include <cstddef>

namespace gsic {

/// Whether every value is a finite number.
bool all_finite(const float *values, size_t count);

/// The largest of some values, and the next to it: the same where two share the first place.
struct TopTwo {
  float first, second;
};

/// Of `values` [count], which are no NaNs; minus infinity where there is none.
TopTwo top_two(const float *values, size_t count);

/// log2 e: by how many octaves a weight falls when its logit falls by one temperature.
constexpr double kOctaves = 1.4426950408889634;

/// sum exp((value - largest) / temperature) to about seven digits, for values that are not above `largest`.
double sum_of_weights(const float *values, size_t count, float largest, float temperature);

}  // namespace gsic

#endif
