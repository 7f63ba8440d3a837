// What attention works on: its shape, its LDS, and the item of a workgroup.
#ifndef GSIC_GPU_ATTENTION_SHAPE_H
#define GSIC_GPU_ATTENTION_SHAPE_H

#include "gsic/gpu/parts.h"

namespace gsic {

/// Some numbers that lie one after another.
template <int N> struct alignas(16) Floats {
  float v[N];
};
template <int N> inline Floats<N> floats_at(const float *staged) {
  Floats<N> found;
  __builtin_memcpy(&found, __builtin_assume_aligned(staged, 16), sizeof found);
  return found;
}

/// sum + a b, even and odd ones apart.
template <int N> inline f32x2 add_products(const Floats<N> &a, const Floats<N> &b, f32x2 sum) {
  for (int i = 0; i < N; i += 2) sum = fma(f32x2{{a.v[i], a.v[i + 1]}}, f32x2{{b.v[i], b.v[i + 1]}}, sum);
  return sum;
}
/// sum + by x.
template <int N> inline void add_multiple(float by, const Floats<N> &x, Floats<N> &sum) {
  for (int i = 0; i < N; i += 2) {
    const f32x2 two = fma(f32x2{{by, by}}, f32x2{{x.v[i], x.v[i + 1]}}, f32x2{{sum.v[i], sum.v[i + 1]}});
    sum.v[i] = two.v[0];
    sum.v[i + 1] = two.v[1];
  }
}

/// Numbers of the cache as they are. `Raw` is the sixteen bytes that a lane loads at once, a run of channels.
struct CacheF32 {
  static constexpr int bytes = 4, run = 4;
  using Raw = f32x4;
  static Floats<run> widen(const Raw &raw) { return bits_as<Floats<run>>(raw); }
  static float rounded(float x) { return x; }
  static void put(uint8_t *p, float x) { store(reinterpret_cast<float *>(p), x); }
};

/// Numbers rounded to f16, to even; what is beyond its range becomes its largest number.
struct CacheF16 {
  static constexpr int bytes = 2, run = 8;
  using Raw = u32x4;
  static Floats<run> widen(const Raw &raw) {
    Floats<run> x;
    for (int i = 0; i < run; i++) x.v[i] = f16_to_f32(uint16_t(raw.v[i / 2] >> i % 2 * 16));
    return x;
  }
  static uint16_t half(float x) {
    constexpr float largest = 65504.0f;
    return f32_to_f16(x > largest ? largest : x < -largest ? -largest : x);
  }
  static float rounded(float x) { return f16_to_f32(half(x)); }
  static void put(uint8_t *p, float x) { store(reinterpret_cast<uint16_t *>(p), half(x)); }
};

template <class Element> constexpr bool is_kept = true;
template <> inline constexpr bool is_kept<void> = false;

/// `Together` query heads are taken together. `Part` is a multiple of kWave. `Element` is how the cache keeps numbers,
/// `Drafts` how drafts keep them beside it, or void.
template <int Heads, int KvHeads, int HeadDim, int Block, class Cut, int Together, int Waves, class Element,
          class Drafts>
struct Attention : Cut {
  using element = Element;
  using drafts = Drafts;
  static constexpr int heads = Heads, kv_heads = KvHeads, head_dim = HeadDim, block = Block, waves = Waves;
  static constexpr int together = Together, threads = Waves * kWave;
  static constexpr int group = Heads / KvHeads, padded = (HeadDim + 15) / 16 * 16;
  /// Bytes of a vector of the cache, and where a head's begin in a block that lies where the cache begins.
  static constexpr int pitch = padded * Element::bytes;
  static constexpr int64_t head_place(int kv_head) { return int64_t(kv_head) * Block * pitch; }
  /// Runs of `together` heads of a group; workgroups of a part.
  static constexpr int packs = (group + Together - 1) / Together, items = KvHeads * packs;
  static constexpr int runs = padded / Element::run;
  /// For q K^T: the lanes that share a position, each with 32 channels at most.
  static constexpr int key_lanes = least(power_of_two_from((padded + 31) / 32), kWave);
  static constexpr int key_runs = (runs + key_lanes - 1) / key_lanes;
  /// For the sum of values: one run a lane, where there are enough lanes; a wave leaves sums of so many positions.
  static constexpr int value_lanes = least(power_of_two_from(runs), kWave);
  static constexpr int value_runs = (runs + value_lanes - 1) / value_lanes;
  static constexpr int value_sums = least(2, kWave / value_lanes);
  /// Waves that hold the scores of a head, one a lane.
  static constexpr int score_waves = Cut::part / kWave;
  static constexpr int part_blocks = (Cut::part + Block - 1) / Block;
  static_assert((Block & (Block - 1)) == 0 && Cut::part % kWave == 0, "a block has a power of two of positions");
  static_assert(part_blocks <= threads, "a lane a block");
  static_assert(Cut::part % Block == 0 || Block % Cut::part == 0, "a part has whole blocks, or a block whole parts");
};

/// LDS of attention.
template <class A> struct AttentionMemory {
  alignas(16) gsic_step step;
  int64_t blocks[A::part_blocks];
  alignas(16) float score[A::together][A::part], weight[A::part][A::together];
  float own_weight[GSIC_MAX_COLUMNS][A::together];
  float largest[A::together][A::score_waves], sum[A::together][A::score_waves];
  /// Queries, and the pass's own keys and values; then the sums of values in their place.
  struct Staged {
    alignas(16) float query[A::together][A::padded];
    float own[GSIC_MAX_COLUMNS][2][A::padded];
  };
  union {
    Staged staged;
    alignas(16) float value[A::waves * A::value_sums][A::together][A::value_lanes * A::value_runs * A::element::run];
  };
};

/// Where a layer's cache and the pass's own queries, keys and values lie.
struct AttentionInputs {
  const float *source;  ///< [columns, stride]: query heads, key heads and value heads at their columns
  int stride, query, key, value;
  uint8_t *keys, *values;
  uint8_t *draft_keys = nullptr, *draft_values = nullptr;
};

/// What a workgroup computes: some heads of a column, over a part of the positions.
struct AttentionItem {
  int column, position;
  int run, begun;     ///< the first column of its run, and that one's position
  int kv_head, head;  ///< the first of the heads
  int part;           ///< where the part begins
  int begin, end;     ///< the positions of the part that are seen
  const int64_t *table;

  /// Positions of the part before the first that the pass itself brings, and how many of those it brings are seen.
  int cached() const { return least(begun, end) - part; }
  int own_begin() const { return begin > begun ? begin : begun; }
  int own() const { return end > own_begin() ? end - own_begin() : 0; }
  bool has_cached() const { return begin < least(begun, end); }
  bool is_seen(int t) const { return t >= begin && t < end; }
  /// Where a position of the pass's own is staged.
  int column_of(int t) const { return t - begun + run; }
};

}  // namespace gsic

#endif
