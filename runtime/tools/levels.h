// What roundings to few bits share: steps that are tried, and the levels of a block; inlined, since it is done often.
#ifndef GSIC_TOOLS_LEVELS_H
#define GSIC_TOOLS_LEVELS_H

#include "block_formats.h"

namespace gsic {

/// Added and taken away again, rounds a float below 2^22 in size to nearest, ties to even.
constexpr float kRound = 12582912.0f;

/// Shares of the full range that searches for a step try.
constexpr float kShares[] = {1.05f, 1.0f, 0.97f, 0.94f, 0.91f, 0.88f, 0.85f, 0.81f, 0.77f, 0.72f, 0.66f, 0.59f};

inline float inverse(float step) { return step == 0 ? 0 : 1 / step; }

/// Levels that are integers.
struct Even {
  float lowest, highest;
  float operator()(float t) const {
    t = t < lowest ? lowest : t;
    t = t > highest ? highest : t;
    return (t + kRound) - kRound;
  }
};

/// iq4_nl's.
struct Uneven {
  float lowest = kUnevenLevels.front(), highest = kUnevenLevels.back();
  static size_t place(float t) {
    size_t at = 0;
    for (size_t i = 1; i < kUnevenLevels.size(); i++)
      at += t * 2 > float(kUnevenLevels[i - 1]) + float(kUnevenLevels[i]) ? 1 : 0;
    return at;
  }
  float operator()(float t) const { return float(kUnevenLevels[place(t)]); }
};

}  // namespace gsic

#endif
