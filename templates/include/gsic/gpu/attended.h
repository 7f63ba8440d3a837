// What attention left of few parts of the positions, as the input of a projection: it adds them up where it stages
// them.
#ifndef GSIC_GPU_ATTENDED_H
#define GSIC_GPU_ATTENDED_H

#include "gsic/gpu/functions.h"
#include "gsic/gpu/parts.h"

namespace gsic {

/// A source of `Width` elements, heads of `HeadDim`, of which every column has up to `Cut::staged` parts.
template <int Width, int HeadDim, class Cut> struct Attended {
  static constexpr int width = Width, head_dim = HeadDim, parts = Cut::staged;
  static_assert(HeadDim % 4 == 0 && Width % HeadDim == 0, "four consecutive elements are of one head");
  using Partial = PartialSums<Width / HeadDim, HeadDim, Cut>;
  const float *value;

  /// Four elements of every part.
  struct Four {
    PartHeader header[parts];
    f32x4 sum[parts];

    void arrive() {
      GSIC_UNROLL
      for (int p = 0; p < parts; p++) {
        is_there(header[p].largest);
        is_there(header[p].weight);
        for (float &x : sum[p].v) is_there(x);
      }
    }
    /// sum of e^(largest - largest of all) sum over that of e^(largest - largest of all) weight, in the order of parts.
    f32x4 together() const {
      float largest = header[0].largest, weight = 0;
      for (int p = 1; p < parts; p++) largest = header[p].largest > largest ? header[p].largest : largest;
      f32x4 all = {};
      GSIC_UNROLL
      for (int p = 0; p < parts; p++) {
        const bool is_there = header[p].weight != 0;
        const float factor = is_there ? exponential(header[p].largest - largest) : 0.0f;
        weight = fma(factor, header[p].weight, weight);
        for (int i = 0; i < 4; i++) all.v[i] = is_there ? fma(factor, sum[p].v[i], all.v[i]) : all.v[i];
      }
      const float inverse = 1.0f / weight;
      for (float &x : all.v) x *= inverse;
      return all;
    }
  };

  /// Elements `first` .. `first` + 3, below the width: all that is asked for is on its way together, what there is none
  /// of among it.
  Four four(int column, int first) const {
    const float *const head = value + Partial::place(column, first / HeadDim, 0);
    Four found;
    GSIC_UNROLL
    for (int p = 0; p < parts; p++) {
      found.header[p] = Partial::header(head, p);
      found.sum[p] = sum_at(head, p, first);
    }
    return found;
  }

  /// Asks for sums of those parts that are there.
  template <int N> void read(int column, int first, float (&x)[N]) const {
    static_assert(N % 4 == 0, "four elements are read at a time");
    GSIC_UNROLL
    for (int i = 0; i < N; i += 4) {
      f32x4 all = {};
      if (Width % N == 0 || first + i < Width) {
        const float *const head = value + Partial::place(column, (first + i) / HeadDim, 0);
        Four found = {};
        for (int p = 0; p < parts; p++) found.header[p] = Partial::header(head, p);
        for (int p = 0; p < parts; p++)
          if (found.header[p].weight != 0) found.sum[p] = sum_at(head, p, first + i);
        all = found.together();
      }
      for (int j = 0; j < 4; j++) x[i + j] = all.v[j];
    }
  }

 private:
  static f32x4 sum_at(const float *head, int part, int element) {
    return load(reinterpret_cast<const f32x4 *>(head + part * Partial::row + Partial::kHeader + element % HeadDim));
  }
};

}  // namespace gsic

#endif
