// Rounding matrices to GGUF's blocks, so that little of what they do to their input is lost.
#ifndef GSIC_TOOLS_BLOCKS_H
#define GSIC_TOOLS_BLOCKS_H

#include <vector>

#include "block_formats.h"
#include "feedback.h"

namespace gsic {

/// The lines under which rounding `x` [format.elements] loses least, each element's square weighted.
BlockLines choose_lines(const BlockFormat &format, const float *x, const float *weights);

/// The level nearest to `x` on a line.
int8_t nearest_level(const BlockFormat &format, const Line &line, float x);

/// The value of a level on a line.
float level_value(const BlockFormat &format, const Line &line, int8_t level);

/// How rows are rounded.
struct BlockRounding {
  const BlockFormat *format = nullptr;
  /// The weight of each column's squared error, [d].
  const std::vector<float> *weights = nullptr;
  /// Null: each value is rounded to nearest.
  const Feedback *feedback = nullptr;
};

/// Rounds rows of `values` [count, d] to blocks at `to`, and leaves in `errors` [count, d] what they lack. d is a
/// multiple of the block's elements.
void round_rows(const BlockRounding &rounding, const float *values, size_t count, size_t d, uint8_t *to, float *errors);

}  // namespace gsic

#endif
