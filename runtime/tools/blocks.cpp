#include "blocks.h"

#include <algorithm>

namespace gsic {
namespace {

/// Rows that are rounded together, some columns at a time.
struct BlockPanel {
  const BlockRounding &rounding;
  const float *values;
  size_t count, d;
  float *errors;
  std::vector<float> state;

  /// The values of columns `first` to `last` - 1, with what the errors of those behind them ask for; [count, last -
  /// first].
  std::vector<float> targets(size_t first, size_t last) const {
    const size_t width = last - first;
    std::vector<float> x(count * width);
    for (size_t r = 0; r < count; r++) std::copy_n(values + r * d + first, width, &x[r * width]);
    if (rounding.feedback != nullptr)
      add_feedback(*rounding.feedback, errors, state.data(), count, first, last, x.data());
    return x;
  }

  /// The lines of the block of row `r` from column `first` on, which is rounded towards `x` [format.elements].
  BlockLines lines_of(size_t r, size_t first, const float *x) const {
    const BlockFormat &format = *rounding.format;
    const float *weights = rounding.weights->data() + first;
    const BlockLines chosen = choose_lines(format, x, weights);
    if (rounding.feedback == nullptr || format.elements > format.part) return chosen;
    const float *band = &rounding.feedback->band[first * kFeedbackBlock + first % kFeedbackBlock];
    return best_beside(format, chosen, {x, values + r * d + first, weights, band});
  }
};

/// Rounds columns `first` to `first + width` - 1 of row `r`, from the last to the first, towards `x` [width].
void round_run(const BlockPanel &panel, size_t r, size_t first, size_t width, const BlockLines &lines, float *x,
               int8_t *levels) {
  const BlockFormat &format = *panel.rounding.format;
  const Feedback *feedback = panel.rounding.feedback;
  const float *values = panel.values + r * panel.d + first;
  float *errors = panel.errors + r * panel.d + first;
  const size_t begin = first % format.elements, band = first % kFeedbackBlock;
  for (size_t j = width; j-- > 0;) {
    const Line &line = lines.lines[(begin + j) / format.part];
    levels[j] = nearest_level(format, line, x[j]);
    errors[j] = values[j] - level_value(format, line, levels[j]);
    if (feedback == nullptr) continue;
    const float *factors = &feedback->band[(first + j) * kFeedbackBlock + band];
    for (size_t i = 0; i < j; i++) x[i] += factors[i] * errors[j];
  }
}

}  // namespace

void round_rows(const BlockRounding &rounding, const float *values, size_t count, size_t d, uint8_t *to,
                float *errors) {
  const BlockFormat &format = *rounding.format;
  const size_t elements = format.elements, run = std::min(elements, kFeedbackBlock), blocks = d / elements;
  BlockPanel panel{rounding, values, count, d, errors, {}};
  if (rounding.feedback != nullptr) panel.state.resize(count * rounding.feedback->rank);
  RoundedRows rows{
      format, count, d, values, errors, std::vector<BlockLines>(count * blocks), std::vector<int8_t>(count * d)};
  for (size_t block = blocks; block-- > 0;) {
    const size_t begin = block * elements;
    const std::vector<float> whole = panel.targets(begin, begin + elements);
    for (size_t r = 0; r < count; r++) rows.lines[r * blocks + block] = panel.lines_of(r, begin, &whole[r * elements]);
    for (size_t first = begin + elements; first > begin;) {
      first -= run;
      std::vector<float> x = panel.targets(first, first + run);
      for (size_t r = 0; r < count; r++)
        round_run(panel, r, first, run, rows.lines[r * blocks + block], &x[r * run], &rows.levels[r * d + first]);
      if (rounding.feedback != nullptr)
        take_errors(*rounding.feedback, errors, count, first, first + run, panel.state.data());
    }
  }
  if (rounding.curvature != nullptr) refine_rows(*rounding.curvature, rows);
  for (size_t r = 0; r < count; r++)
    for (size_t block = 0; block < blocks; block++)
      pack_block(format, rows.lines[r * blocks + block], &rows.levels[r * d + block * elements],
                 to + (r * blocks + block) * format.bytes);
}

}  // namespace gsic
