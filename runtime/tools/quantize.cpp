// Loops over lanes become vector code only when optimised for speed. Products stay apart from sums, so that every
// instruction set gives the same bits.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "fp-contract=off")
#endif

#include "quantize.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "clones.h"
#include "levels.h"

namespace gsic {
namespace {

/// Rows side by side: the same column of kLanes rows is contiguous, so that loops over them become vector code.
constexpr size_t kLanes = 16;
constexpr size_t kWidestGroup = 128;
constexpr int kLargestScale = 127;

using Lanes = float[kLanes];

/// One group of kLanes rows.
struct GroupRows {
  size_t columns;
  float values[kWidestGroup][kLanes];
  const float *weights;  // [columns]
  Lanes row_scale, highest, lowest;
};

/// A scale and a zero for each row, and what they lose.
struct Choice {
  Lanes scale, zero, loss;
};

void find_range(GroupRows &group) {
  std::fill_n(group.highest, kLanes, 0.0f);
  std::fill_n(group.lowest, kLanes, 0.0f);
  for (size_t j = 0; j < group.columns; j++)
    for (size_t r = 0; r < kLanes; r++) {
      group.highest[r] = std::max(group.highest[r], group.values[j][r]);
      group.lowest[r] = std::min(group.lowest[r], group.values[j][r]);
    }
}

/// Sets `loss` of the choice.
void judge(const GroupRows &group, float levels, Choice &choice) {
  Lanes step, over;
  for (size_t r = 0; r < kLanes; r++) {
    step[r] = choice.scale[r] * group.row_scale[r];
    over[r] = inverse(step[r]);
    choice.loss[r] = 0;
  }
  for (size_t j = 0; j < group.columns; j++) {
    const float weight = group.weights[j];
    for (size_t r = 0; r < kLanes; r++) {
      const float x = group.values[j][r];
      float t = x * over[r] + choice.zero[r];
      t = t < 0 ? 0 : t;
      t = t > levels ? levels : t;
      t = (t + kRound) - kRound;
      const float error = x - (t - choice.zero[r]) * step[r];
      choice.loss[r] += weight * error * error;
    }
  }
}

void keep_better(const Choice &other, Choice &best) {
  for (size_t r = 0; r < kLanes; r++)
    if (other.loss[r] < best.loss[r]) {
      best.scale[r] = other.scale[r];
      best.zero[r] = other.zero[r];
      best.loss[r] = other.loss[r];
    }
}

/// The whole scale nearest to `scale`; not zero unless `scale` is.
float whole(float scale) {
  const float size = std::min(std::max(std::nearbyint(std::fabs(scale)), 1.0f), float(kLargestScale));
  return scale == 0 ? 0 : std::copysign(size, scale);
}

/// The scale that round to nearest takes: the least that reaches the whole range, in units of the row's scale.
float full_scale(float highest, float lowest, const Quantizer &quantizer) {
  const float half = float(1 << (quantizer.bits - 1));
  return quantizer.symmetric ? std::max(highest, -lowest) / (half - 1) : (highest - lowest) / float(quantizer.levels());
}

Choice full_range(const GroupRows &group, const Quantizer &quantizer) {
  Choice choice;
  for (size_t r = 0; r < kLanes; r++) {
    const float full = full_scale(group.highest[r], group.lowest[r], quantizer) * inverse(group.row_scale[r]);
    choice.scale[r] = std::min(std::ceil(full * (1 - 1e-6f)), float(kLargestScale));
    choice.zero[r] = quantizer.symmetric
                         ? float(1 << (quantizer.bits - 1))
                         : std::nearbyint(-group.lowest[r] * inverse(choice.scale[r] * group.row_scale[r]));
    choice.zero[r] = std::min(choice.zero[r], float(quantizer.levels()));
  }
  return choice;
}

/// One candidate of the search: `share` of the range, and which way it is turned (symmetric: the sign of the scale;
/// else how far the zero is moved).
Choice candidate(const GroupRows &group, const Quantizer &quantizer, float share, int turn) {
  const float half = float(1 << (quantizer.bits - 1)), levels = float(quantizer.levels());
  Choice choice;
  for (size_t r = 0; r < kLanes; r++) {
    const float up = group.highest[r], down = -group.lowest[r], over = inverse(group.row_scale[r]);
    if (quantizer.symmetric) {
      const float reach = turn > 0 ? std::max(up / (half - 1), down / half) : std::max(up / half, down / (half - 1));
      choice.scale[r] = whole(float(turn) * share * reach * over);
      choice.zero[r] = half;
    } else {
      choice.scale[r] = whole(share * (up + down) / levels * over);
      const float zero = std::nearbyint(down * levels * inverse(up + down)) + float(turn);
      choice.zero[r] = std::min(std::max(zero, 0.0f), levels);
    }
  }
  return choice;
}

/// The scale that fits best to the values as the choice rounds them.
Choice refit(const GroupRows &group, float levels, const Choice &choice) {
  Choice result = choice;
  for (size_t r = 0; r < kLanes; r++) {
    const float over = inverse(choice.scale[r] * group.row_scale[r]);
    double product = 0, square = 0;
    for (size_t j = 0; j < group.columns; j++) {
      const float x = group.values[j][r];
      const float t = std::min(std::max(x * over + choice.zero[r], 0.0f), levels);
      const float level = (t + kRound) - kRound - choice.zero[r];
      product += double(group.weights[j] * level) * double(x);
      square += double(group.weights[j] * level) * double(level);
    }
    if (square > 0) result.scale[r] = whole(float(product / square) * inverse(group.row_scale[r]));
  }
  return result;
}

Choice search(const GroupRows &group, const Quantizer &quantizer) {
  const float levels = float(quantizer.levels());
  Choice best = full_range(group, quantizer);
  judge(group, levels, best);
  const auto offer = [&](Choice choice) {
    judge(group, levels, choice);
    keep_better(choice, best);
  };
  for (const float share : kShares)
    for (int turn = quantizer.symmetric ? 1 : -1; turn >= -1 && turn <= 1; turn += quantizer.symmetric ? -2 : 1)
      offer(candidate(group, quantizer, share, turn));
  offer(refit(group, levels, best));
  return best;
}

/// Rounds a group column by column, from the last to the first, passing errors on within the group if there is
/// feedback. `values` become the errors; levels go to `q`.
void round_group(GroupRows &group, const Choice &choice, float levels, const Feedback *feedback, size_t first,
                 uint8_t (*q)[kLanes], const float (*targets)[kLanes]) {
  Lanes step, over;
  for (size_t r = 0; r < kLanes; r++) {
    step[r] = choice.scale[r] * group.row_scale[r];
    over[r] = inverse(step[r]);
  }
  const size_t begin = first % kFeedbackBlock;
  for (size_t j = group.columns; j-- > 0;) {
    Lanes error;
    for (size_t r = 0; r < kLanes; r++) {
      float t = group.values[j][r] * over[r] + choice.zero[r];
      t = t < 0 ? 0 : t;
      t = t > levels ? levels : t;
      t = (t + kRound) - kRound;
      q[j][r] = uint8_t(int(t));
      error[r] = targets[j][r] - (t - choice.zero[r]) * step[r];
    }
    for (size_t r = 0; r < kLanes; r++) group.values[j][r] = error[r];
    if (feedback == nullptr) continue;
    const float *factors = &feedback->band[(first + j) * kFeedbackBlock + begin];
    for (size_t i = 0; i < j; i++)
      for (size_t r = 0; r < kLanes; r++) group.values[i][r] += factors[i] * error[r];
  }
}

/// The scale of each row of a panel: the largest group's scale is kLargestScale of it.
std::vector<float> row_scales(const float *values, size_t count, size_t d, const Quantizer &quantizer) {
  std::vector<float> scales(kPanelRows, 0);
  for (size_t r = 0; r < count; r++)
    for (size_t first = 0; first < d; first += quantizer.group) {
      float highest = 0, lowest = 0;
      for (size_t c = first; c < std::min(d, first + quantizer.group); c++) {
        highest = std::max(highest, values[r * d + c]);
        lowest = std::min(lowest, values[r * d + c]);
      }
      scales[r] = std::max(scales[r], full_scale(highest, lowest, quantizer) / float(kLargestScale));
    }
  for (float &scale : scales)
    if (!(scale >= 1e-37f)) scale = 0;  // a row of zeros, or one whose steps would be no normal numbers
  return scales;
}

struct RowPanel {
  size_t first, count, d;
  std::vector<float> scales, errors, state, x;
};

/// Quantises kLanes rows of one group, of which `x` [kPanelRows, columns] holds what they are rounded towards.
void quantize_lanes(const float *values, RowPanel &panel, size_t lane, size_t first, GroupRows &group,
                    const Rounding &rounding, QuantizedMatrix &matrix) {
  float targets[kWidestGroup][kLanes] = {};
  uint8_t q[kWidestGroup][kLanes];
  const size_t d = panel.d, rows = std::min(kLanes, panel.count - lane), g = first / matrix.quantizer.group;
  for (size_t r = 0; r < kLanes; r++) {
    group.row_scale[r] = panel.scales[lane + r];
    for (size_t j = 0; j < group.columns; j++) {
      group.values[j][r] = panel.x[(lane + r) * group.columns + j];
      if (r < rows) targets[j][r] = values[(lane + r) * d + first + j];
    }
  }
  find_range(group);
  const Quantizer &quantizer = matrix.quantizer;
  const Choice choice = rounding.search ? search(group, quantizer) : full_range(group, quantizer);
  round_group(group, choice, float(quantizer.levels()), rounding.feedback, first, q, targets);
  for (size_t r = 0; r < rows; r++) {
    const size_t row = panel.first + lane + r, at = row * quantizer.groups(d) + g;
    matrix.scales[at] = int8_t(choice.scale[r]);
    if (!quantizer.symmetric) matrix.zeros[at] = uint8_t(choice.zero[r]);
    for (size_t j = 0; j < group.columns; j++) {
      matrix.q[row * d + first + j] = q[j][r];
      panel.errors[(lane + r) * d + first + j] = group.values[j][r];
    }
  }
}

}  // namespace

QuantizedMatrix::QuantizedMatrix(Quantizer of, size_t row_count, size_t columns)
    : quantizer(of),
      rows(row_count),
      d(columns),
      q(rows * d),
      scales(rows * of.groups(d)),
      zeros(of.symmetric ? 0 : rows * of.groups(d)),
      row_scales(rows) {}

void QuantizedMatrix::dequantize(size_t first, size_t count, float *to, size_t stride) const {
  const size_t groups = quantizer.groups(d);
  for (size_t r = first; r < first + count; r++, to += stride)
    for (size_t g = 0; g < groups; g++) {
      const float step = row_scales[r] * float(scales[r * groups + g]);
      const int zero = zeros.empty() ? 1 << (quantizer.bits - 1) : zeros[r * groups + g];
      const size_t end = std::min(d, (g + 1) * quantizer.group);
      for (size_t c = g * quantizer.group; c < end; c++) to[c] = step * float(int(q[r * d + c]) - zero);
    }
}

void quantize_rows(const float *values, size_t first, size_t count, const Rounding &rounding, QuantizedMatrix &matrix) {
  const size_t d = matrix.d, width = matrix.quantizer.group;
  const std::vector<float> ones(rounding.weights == nullptr ? width : 0, 1);
  RowPanel panel{first, count, d, row_scales(values, count, d, matrix.quantizer), {}, {}, {}};
  panel.errors.resize(kPanelRows * d);
  if (rounding.feedback != nullptr) panel.state.resize(kPanelRows * rounding.feedback->rank);
  for (size_t r = 0; r < count; r++) matrix.row_scales[first + r] = panel.scales[r];
  const auto group = std::make_unique<GroupRows>();
  for (size_t g = matrix.quantizer.groups(d); g-- > 0;) {
    const size_t begin = g * width, end = std::min(d, begin + width);
    group->columns = end - begin;
    group->weights = rounding.weights == nullptr ? ones.data() : rounding.weights->data() + begin;
    panel.x.assign(kPanelRows * group->columns, 0);
    for (size_t r = 0; r < count; r++)
      std::copy_n(values + r * d + begin, group->columns, &panel.x[r * group->columns]);
    if (rounding.feedback != nullptr)
      add_feedback(*rounding.feedback, panel.errors.data(), panel.state.data(), count, begin, end, panel.x.data());
    for (size_t lane = 0; lane < count; lane += kLanes)
      Clones<&quantize_lanes>::call(values, panel, lane, begin, *group, rounding, matrix);
    if (rounding.feedback != nullptr)
      take_errors(*rounding.feedback, panel.errors.data(), count, begin, end, panel.state.data());
  }
}

}  // namespace gsic
