// A head's vectors of the pass itself, normalised and rotated on the way.
#ifndef GSIC_GPU_HEADS_H
#define GSIC_GPU_HEADS_H

#include "gsic/dialect/gpu.h"

namespace gsic {

/// Which channels are rotated together.
enum class Pairing { half, adjacent };

/// Scales a head's vector to a mean square of 1, and by a gain: RMS norm.
template <int Width> struct HeadNorm {
  const float *gain;
  float epsilon;

  float scale(const float *head) const {
    float sum = 0;
    for (int i = 0; i < Width; i++) sum = fma(load(head + i), load(head + i), sum);
    return 1.0f / __builtin_sqrtf(sum / Width + epsilon);
  }
  float channel(const float *head, float scale, int i) const { return load(head + i) * scale * load(gain + i); }
};
struct NoHeadNorm {
  float scale(const float *) const { return 1.0f; }
  float channel(const float *head, float, int i) const { return load(head + i); }
};

/// Rotary embedding of the first `Width` channels; `table` is [context, cosines and sines].
template <int Width, Pairing P> struct Rotary {
  const float *table;

  /// Channel `i` of a head at a position; `read` gives the channels before.
  template <class Read> float channel(Read read, int i, int position) const {
    if (i >= Width) return read(i);
    constexpr int pairs = Width / 2;
    const int pair = P == Pairing::half ? i % pairs : i / 2;
    const bool first = P == Pairing::half ? i < pairs : i % 2 == 0;
    const float a = read(P == Pairing::half ? pair : 2 * pair);
    const float b = read(P == Pairing::half ? pair + pairs : 2 * pair + 1);
    const float *angles = table + int64_t(position) * Width;
    const float cosine = load(angles + pair), sine = load(angles + pairs + pair);
    // a cos - b sin, or b cos + a sin, without a branch.
    return (first ? a : b) * cosine + (first ? -b : a) * sine;
  }
};
struct NoRotary {
  template <class Read> float channel(Read read, int i, int) const { return read(i); }
};

/// A head's vector of the pass itself, normalised and rotated on the way.
template <class Norm, class Turn> struct OwnHead {
  const float *head;
  Norm norm;
  Turn turn;
  int position;
  float scale;

  OwnHead(const float *vector, const Norm &of_head, const Turn &by, int at)
      : head(vector), norm(of_head), turn(by), position(at), scale(of_head.scale(vector)) {}
  float channel(int i) const {
    return turn.channel([this](int j) { return norm.channel(head, scale, j); }, i, position);
  }
};

}  // namespace gsic

#endif
