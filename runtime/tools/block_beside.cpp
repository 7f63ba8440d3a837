// Loops over lanes become vector code only when optimised for speed. Products stay apart from sums, so that every
// instruction set gives the same bits.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "fp-contract=off")
#endif

#include <algorithm>

#include "blocks.h"
#include "clones.h"
#include "levels.h"

namespace gsic {
namespace {

/// Lines that are tried side by side, the chosen one among them.
constexpr size_t kLines = 16;
constexpr size_t kLargest = 32;
/// How far the ends of the levels are moved from one line to the next, in levels.
constexpr float kMoved = 0.25f;

using Lanes = float[kLines];

/// A block of one part, and the lines to try.
struct Trial {
  const BlockToRound &block;
  size_t count;
  Lanes step, offset, loss;
};

/// Rounds the block to every line, from the last element to the first, errors passed on; sets what each loses.
template <class Levels> void judge(Trial &trial, const Levels &levels) {
  const BlockToRound &block = trial.block;
  const Levels level = levels;
  float x[kLargest][kLines];
  Lanes step, offset, over, loss = {}, error;
  for (size_t k = 0; k < kLines; k++) {
    step[k] = trial.step[k];
    offset[k] = trial.offset[k];
    over[k] = inverse(step[k]);
  }
  for (size_t j = 0; j < trial.count; j++)
    for (size_t k = 0; k < kLines; k++) x[j][k] = block.x[j];
  for (size_t j = trial.count; j-- > 0;) {
    const float weight = block.weights[j], wanted = block.values[j];
    const float *band = block.band + j * kFeedbackBlock;
    for (size_t k = 0; k < kLines; k++) {
      const float value = level((x[j][k] - offset[k]) * over[k]) * step[k] + offset[k];
      const float lacks = x[j][k] - value;
      loss[k] += weight * lacks * lacks;
      error[k] = wanted - value;
    }
    for (size_t i = 0; i < j; i++) {
      const float factor = band[i];
      for (size_t k = 0; k < kLines; k++) x[i][k] += factor * error[k];
    }
  }
  std::copy_n(loss, kLines, trial.loss);
}

}  // namespace

BlockLines best_beside(const BlockFormat &format, const BlockLines &chosen, const BlockToRound &block) {
  const float span = float(format.highest - format.lowest), middle = float(format.highest + format.lowest) / 2;
  const Line line = chosen.lines[0];
  std::array<BlockLines, kLines> lines;
  Trial trial{block, format.elements, {}, {}, {}};
  for (size_t k = 0; k < kLines; k++) {
    // 0, 1, -1, 2, -2, ...
    const float place = float((k + 1) / 2) * (k % 2 == 0 ? -1.0f : 1.0f);
    const float step = line.step * (1 + place * kMoved * 2 / span);
    lines[k] = k == 0 ? chosen : stored_line({step, format.offset ? line.offset + (line.step - step) * middle : 0});
    trial.step[k] = lines[k].lines[0].step;
    trial.offset[k] = lines[k].lines[0].offset;
  }
  if (format.type == BlockType::iq4_nl)
    Clones<&judge<Uneven>>::call(trial, Uneven{});
  else
    Clones<&judge<Even>>::call(trial, Even{float(format.lowest), float(format.highest)});
  size_t best = 0;
  for (size_t k = 1; k < kLines; k++)
    if (trial.loss[k] < trial.loss[best]) best = k;
  return lines[best];
}

}  // namespace gsic
