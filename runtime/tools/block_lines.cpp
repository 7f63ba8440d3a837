// Sums over lanes become vector code only when optimised for speed. Products stay apart from sums, so that every
// instruction set gives the same bits.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "fp-contract=off")
#endif

#include <algorithm>
#include <cmath>
#include <limits>

#include "blocks.h"
#include "levels.h"

namespace gsic {
namespace {

/// Sums are taken in so many parts; parts of a block are multiples of it.
constexpr size_t kLanes = 8;
constexpr int kRefits = 2;

/// Elements of a part, and the weights of their squares.
struct Part {
  const float *x, *weights;
  size_t count;
};

/// Sums over the elements of a part, weighted; t are levels.
struct Sums {
  double one = 0, t = 0, tt = 0, x = 0, xt = 0;
};

template <class Levels> double loss_of(const Part &part, const Levels &level, const Line &line) {
  const float over = inverse(line.step);
  float sums[kLanes] = {};
  for (size_t i = 0; i < part.count; i += kLanes)
    for (size_t l = 0; l < kLanes; l++) {
      const float t = level((part.x[i + l] - line.offset) * over);
      const float error = part.x[i + l] - (t * line.step + line.offset);
      sums[l] += part.weights[i + l] * error * error;
    }
  double sum = 0;
  for (const float one : sums) sum += double(one);
  return sum;
}

template <class Levels> Sums sums_of(const Part &part, const Levels &level, const Line &line) {
  const float over = inverse(line.step);
  Sums sums;
  for (size_t i = 0; i < part.count; i++) {
    const double x = part.x[i], w = part.weights[i], t = level((part.x[i] - line.offset) * over);
    sums.one += w;
    sums.t += w * t;
    sums.tt += w * t * t;
    sums.x += w * x;
    sums.xt += w * x * t;
  }
  return sums;
}

/// A line, and what it loses.
struct Found {
  Line line;
  double loss = std::numeric_limits<double>::infinity();

  void offer(const Line &other, double loses) {
    if (!(loses < loss)) return;
    line = other;
    loss = loses;
  }
};

/// The step that loses least without an offset; either sign.
template <class Levels> Line search_step(const Part &part, const Levels &level) {
  float up = 0, down = 0;
  for (size_t i = 0; i < part.count; i++) {
    up = std::max(up, part.x[i]);
    down = std::max(down, -part.x[i]);
  }
  Found found;
  const auto offer = [&](float step) { found.offer({step, 0}, loss_of(part, level, {step, 0})); };
  for (const float share : kShares) {
    offer(share * std::max(up / level.highest, down / -level.lowest));
    offer(-share * std::max(down / level.highest, up / -level.lowest));
  }
  for (int round = 0; round < kRefits; round++) {
    const Sums sums = sums_of(part, level, found.line);
    if (sums.tt > 0) offer(float(sums.xt / sums.tt));
  }
  return found.line;
}

/// The line of least squares through levels; `floor`: its offset is at most 0.
Line fit(const Sums &sums, bool floor) {
  const double determinant = sums.one * sums.tt - sums.t * sums.t;
  Line line;
  if (determinant > 1e-12 * sums.one * sums.tt) {
    line.step = float((sums.one * sums.xt - sums.t * sums.x) / determinant);
    line.offset = float((sums.x - double(line.step) * sums.t) / sums.one);
  }
  if (floor && line.offset > 0) line = {sums.tt > 0 ? float(sums.xt / sums.tt) : 0, 0};
  return line;
}

/// The line that loses least; `floor` as above. Steps are not negative.
Line search_line(const Part &part, const Even &level, bool floor) {
  float up = part.x[0], down = part.x[0];
  for (size_t i = 1; i < part.count; i++) {
    up = std::max(up, part.x[i]);
    down = std::min(down, part.x[i]);
  }
  if (floor) down = std::min(down, 0.0f);
  const float range = std::max(up - down, 0.0f);
  Found found;
  const auto offer = [&](Line line) {
    if (floor) line.offset = std::min(line.offset, 0.0f);
    if (line.step >= 0) found.offer(line, loss_of(part, level, line));
  };
  for (const float share : kShares)
    for (const float shift : {0.0f, 0.5f, 1.0f})
      offer({share * range / level.highest, down + (1 - std::min(share, 1.0f)) * shift * range});
  for (int round = 0; round < kRefits; round++) offer(fit(sums_of(part, level, found.line), floor));
  return found.line;
}

/// A block whose parts have multiples of its scale, and of its minimum.
class Super {
 public:
  Super(const BlockFormat &format, const float *x, const float *weights)
      : format_(format),
        level_{float(format.lowest), float(format.highest)},
        x_(x),
        weights_(weights),
        most_(format.offset ? 63 : 127) {
    for (size_t p = 0; p < parts(); p++)
      ideal_[p] = format.offset ? search_line(part(p), level_, true) : search_step(part(p), level_);
  }

  BlockLines choose() {
    float scale = 0, minimum = 0;
    for (size_t p = 0; p < parts(); p++) {
      scale = std::max(scale, std::fabs(ideal_[p].step) / float(most_));
      minimum = std::max(minimum, -ideal_[p].offset / float(most_));
    }
    BlockLines best;
    double least = std::numeric_limits<double>::infinity();
    for (int round = 0; round <= kRefits; round++) {
      double loss = 0;
      const BlockLines lines = multiples_of(scale, minimum, loss);
      if (loss < least) {
        best = lines;
        least = loss;
      }
      refit(lines, scale, minimum);
    }
    return best;
  }

 private:
  size_t parts() const { return format_.elements / format_.part; }
  Part part(size_t p) const { return {x_ + p * format_.part, weights_ + p * format_.part, format_.part}; }

  /// The best multiples of each part, near those that its own line asks for; adds up what they lose.
  BlockLines multiples_of(float scale, float minimum, double &loss) const {
    BlockLines lines;
    lines.scale = half_bits(scale);
    lines.minimum = half_bits(minimum);
    const float d = half_value(lines.scale), m = half_value(lines.minimum);
    const int least = format_.offset ? 0 : -most_;
    for (size_t p = 0; p < parts(); p++) {
      const int s = int(std::nearbyint(ideal_[p].step * inverse(d)));
      const int o = int(std::nearbyint(-ideal_[p].offset * inverse(m)));
      double found = std::numeric_limits<double>::infinity();
      for (int a = s - 1; a <= s + 1; a++)
        for (int b = o - (format_.offset ? 1 : 0); b <= o + (format_.offset ? 1 : 0); b++) {
          const int scales = std::clamp(a, least, most_), minima = std::clamp(b, 0, most_);
          const Line line{d * float(scales), -(m * float(minima))};
          const double loses = loss_of(part(p), level_, line);
          if (!(loses < found)) continue;
          found = loses;
          lines.lines[p] = line;
          lines.scales[p] = int8_t(scales);
          lines.minima[p] = uint8_t(minima);
        }
      loss += found;
    }
    return lines;
  }

  /// The scale and the minimum of least squares for the levels and multiples that `lines` give.
  void refit(const BlockLines &lines, float &scale, float &minimum) const {
    double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
    for (size_t p = 0; p < parts(); p++) {
      const Sums sums = sums_of(part(p), level_, lines.lines[p]);
      const double a = lines.scales[p], b = -double(lines.minima[p]);
      aa += a * a * sums.tt;
      ab += a * b * sums.t;
      bb += b * b * sums.one;
      ax += a * sums.xt;
      bx += b * sums.x;
    }
    const double determinant = aa * bb - ab * ab;
    if (determinant > 1e-12 * aa * bb) {
      scale = float((bb * ax - ab * bx) / determinant);
      minimum = float(std::max(0.0, (aa * bx - ab * ax) / determinant));
    } else if (aa > 0) {
      scale = float(ax / aa);
    }
    scale = format_.offset ? std::max(scale, 0.0f) : scale;
  }

  const BlockFormat &format_;
  const Even level_;
  const float *const x_, *const weights_;
  const int most_;
  std::array<Line, kMostParts> ideal_{};
};

}  // namespace

BlockLines choose_lines(const BlockFormat &format, const float *x, const float *weights) {
  if (format.elements > format.part) return Super(format, x, weights).choose();
  const Part part{x, weights, format.elements};
  const Even even{float(format.lowest), float(format.highest)};
  const Line line = format.offset                      ? search_line(part, even, false)
                    : format.type == BlockType::iq4_nl ? search_step(part, Uneven{})
                                                       : search_step(part, even);
  return stored_line(line);
}

BlockLines stored_line(const Line &line) {
  BlockLines lines;
  lines.scale = half_bits(line.step);
  lines.minimum = half_bits(line.offset);
  lines.lines[0] = {half_value(lines.scale), half_value(lines.minimum)};
  return lines;
}

int8_t nearest_level(const BlockFormat &format, const Line &line, float x) {
  const float t = (x - line.offset) * inverse(line.step);
  if (format.type == BlockType::iq4_nl) return int8_t(Uneven::place(t));
  return int8_t(int(Even{float(format.lowest), float(format.highest)}(t)));
}

float level_value(const BlockFormat &format, const Line &line, int8_t level) {
  const float t = format.type == BlockType::iq4_nl ? float(kUnevenLevels[size_t(level)]) : float(level);
  return line.step * t + line.offset;
}

}  // namespace gsic
