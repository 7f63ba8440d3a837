// Adds up what attention left of the parts of a column's positions.
#ifndef GSIC_GPU_COMBINE_H
#define GSIC_GPU_COMBINE_H

#include "gsic/gpu/functions.h"
#include "gsic/gpu/parts.h"

namespace gsic {

template <int Heads, int HeadDim, class Cut, int Waves> struct Combination : Cut {
  static constexpr int heads = Heads, head_dim = HeadDim, threads = Waves * kWave;
  static constexpr int quads = (HeadDim + 3) / 4;
  /// The lanes that share a part, the runs of four channels of a lane, and the parts that a workgroup takes at once.
  static constexpr int lanes = least(power_of_two_from(quads), kWave), runs = (quads + lanes - 1) / lanes;
  static constexpr int at_once = threads / lanes;
  /// Parts that a lane has on the way.
  static constexpr int depth = 8;
  using Partial = PartialSums<Heads, HeadDim, Cut>;
};

/// LDS of a combination: of each part its largest score, its weight and what its sum is multiplied by.
template <class C> struct CombinationMemory {
  alignas(16) gsic_step step;
  float largest[C::most_parts], weight[C::most_parts], factor[C::most_parts];
  alignas(16) float value[C::at_once][C::lanes * C::runs * 4];
};

/// What the parts are multiplied by, e^(largest - the largest of all), and the sum of all weights by it, which all
/// waves compute alike. A barrier must be before, and follow.
template <class C> inline float compare_parts(int parts, CombinationMemory<C> &memory) {
  float largest = -__builtin_inff(), weight = 0;
  for (int begin = 0; begin < parts; begin += kWave) {
    const int part = begin + lane_index();
    largest = memory.largest[part < parts ? part : 0] > largest ? memory.largest[part < parts ? part : 0] : largest;
  }
  largest = wave_maximum(largest);
  for (int begin = 0; begin < parts; begin += kWave) {
    const int part = begin + lane_index();
    if (part >= parts) continue;
    const float factor = exponential(memory.largest[part] - largest);
    weight = fma(factor, memory.weight[part], weight);
    if (wave_index() == 0) memory.factor[part] = factor;
  }
  return wave_sum(weight);
}

/// The sums of parts that a lane has on the way.
template <class C> struct Flight {
  int lane = lane_index(), group = wave_index() * (kWave / C::lanes) + lane / C::lanes;
  f32x4 value[C::depth][C::runs];

  int channel(int run) const { return (run * C::lanes + lane % C::lanes) * 4; }
  int part(int begin, int n) const { return begin + n * C::at_once + group; }
  void load_from(const float *partials, int begin, int parts) {
    constexpr int kChannels = C::Partial::row - C::Partial::kHeader;
    GSIC_UNROLL
    for (int n = 0; n < C::depth; n++) {
      const float *const from =
          partials + (part(begin, n) < parts ? part(begin, n) : 0) * C::Partial::row + C::Partial::kHeader;
      for (int run = 0; run < C::runs; run++)
        value[n][run] = load(reinterpret_cast<const f32x4 *>(from + (channel(run) < kChannels ? channel(run) : 0)));
    }
  }
};

/// One head of one column, whose parts lie from `partials` on.
template <class C> inline void combine(const float *partials, int parts, CombinationMemory<C> &memory, float *y) {
  Flight<C> flight;
  flight.load_from(partials, 0, parts);
  for (int part = thread_index(); part < parts; part += C::threads) {
    const PartHeader header = C::Partial::header(partials, part);
    memory.largest[part] = header.largest;
    memory.weight[part] = header.weight;
  }
  barrier();
  const float weight = compare_parts(parts, memory);
  barrier();
  float sum[C::runs][4] = {};
  GSIC_KEEP_LOOP
  for (int begin = 0; begin < parts; begin += C::at_once * C::depth) {
    if (begin > 0) flight.load_from(partials, begin, parts);
    GSIC_UNROLL
    for (int n = 0; n < C::depth; n++) {
      const int part = flight.part(begin, n);
      const float factor = part < parts ? memory.factor[part] : 0.0f;
      for (int run = 0; run < C::runs; run++)
        for (int i = 0; i < 4; i++) sum[run][i] = fma(factor, flight.value[n][run].v[i], sum[run][i]);
    }
  }
  for (int run = 0; run < C::runs; run++)
    for (int i = 0; i < 4; i++) memory.value[flight.group][flight.channel(run) + i] = sum[run][i];
  barrier();
  for (int i = thread_index(); i < C::head_dim; i += C::threads) {
    float all = memory.value[0][i];
    for (int other = 1; other < C::at_once; other++) all += memory.value[other][i];
    store(y + i, all / weight);
  }
  barrier();
}

/// All that a workgroup combines of a pass: heads of columns that see several parts, to y [columns, heads x head]; or
/// where a projection stages parts, of columns that see more, to `y`, which are the parts.
template <class C>
inline void combine_all(const gsic_step *step, const float *partials, CombinationMemory<C> &memory, float *y) {
  using Partial = typename C::Partial;
  const int stride = workgroup_count();
  stage_step(step, memory.step);
  barrier();
  const int columns = uniform(memory.step.columns);
  for (int i = workgroup_index(); i < columns * C::heads; i += stride) {
    const int column = i / C::heads, head = i % C::heads;
    const int parts = C::parts_of(uniform(memory.step.column[column].position)).count;
    if (parts <= (C::staged == 0 ? 1 : C::staged)) continue;
    const int64_t place = Partial::place(column, head, 0);
    if constexpr (C::staged == 0) {
      combine<C>(partials + place, parts, memory, y + column * stride_of(C::heads * C::head_dim) + head * C::head_dim);
    } else {
      combine<C>(partials + place, parts, memory, y + place + Partial::kHeader);
      if (thread_index() == 0) Partial::leave_header(y + place, 0, {0, 1});
      if (thread_index() == 0) Partial::leave_none(y + place, 1);
    }
  }
}

}  // namespace gsic

#endif
