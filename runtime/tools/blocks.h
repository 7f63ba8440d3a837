// Rounding matrices to GGUF's blocks, so that little of what they do to their input is lost.
#ifndef GSIC_TOOLS_BLOCKS_H
#define GSIC_TOOLS_BLOCKS_H

#include <vector>

#include "block_formats.h"
#include "feedback.h"
#include "refine.h"

namespace gsic {

/// The lines under which rounding `x` [format.elements] loses least, each element's square weighted.
BlockLines choose_lines(const BlockFormat &format, const float *x, const float *weights);

/// A block of one part with the line nearest to `line` that it can store.
BlockLines stored_line(const Line &line);

/// The level nearest to `x` on a line.
int8_t nearest_level(const BlockFormat &format, const Line &line, float x);

/// The value of a level on a line.
float level_value(const BlockFormat &format, const Line &line, int8_t level);

/// What the elements of a block are rounded by: they are wanted as `values`, with what errors behind the block ask for
/// as `x`; `weights` are those of their squared errors, `band` the rows of the feedback's band, from the block's first
/// column on.
struct BlockToRound {
  const float *x, *values, *weights, *band;
};

/// Of a block of one part and at most 32 elements: the best of its chosen line and some that are a little narrower or
/// wider, each judged by rounding to it with errors passed on.
BlockLines best_beside(const BlockFormat &format, const BlockLines &chosen, const BlockToRound &block);

/// How rows are rounded.
struct BlockRounding {
  const BlockFormat *format = nullptr;
  /// The weight of each column's squared error, [d].
  const std::vector<float> *weights = nullptr;
  /// Null: each value is rounded to nearest.
  const Feedback *feedback = nullptr;
  /// Null: levels and scales stay as they are first chosen.
  const Curvature *curvature = nullptr;
};

/// Rounds rows of `values` [count, d] to blocks at `to`, and leaves in `errors` [count, d] what they lack. d is a
/// multiple of the block's elements.
void round_rows(const BlockRounding &rounding, const float *values, size_t count, size_t d, uint8_t *to, float *errors);

}  // namespace gsic

#endif
