// What attention works on: its shape, its LDS, the item of a workgroup, and the keys or values that lanes hold.
#ifndef GSIC_GPU_ATTENTION_SHAPE_H
#define GSIC_GPU_ATTENTION_SHAPE_H

#include "gsic/gpu/parts.h"

namespace gsic {

/// `Together` query heads are taken together. `Part` is a multiple of kWave.
template <int Heads, int KvHeads, int HeadDim, int Block, class Cut, int Together, int Waves> struct Attention : Cut {
  static constexpr int heads = Heads, kv_heads = KvHeads, head_dim = HeadDim, block = Block, waves = Waves;
  static constexpr int together = Together, threads = Waves * kWave;
  static constexpr int group = Heads / KvHeads, padded = (HeadDim + 15) / 16 * 16;
  /// Runs of `together` heads of a group; workgroups of a part.
  static constexpr int packs = (group + Together - 1) / Together, items = KvHeads * packs;
  static constexpr int quads = (HeadDim + 3) / 4;
  /// For q K^T: the lanes that share a position, each with runs of four channels.
  static constexpr int key_lanes = least(power_of_two_from((quads + 3) / 4), kWave);
  static constexpr int key_runs = (quads + key_lanes - 1) / key_lanes;
  /// For the sum of values: one run a lane, where there are enough lanes.
  static constexpr int value_lanes = least(power_of_two_from(quads), kWave);
  static constexpr int value_runs = (quads + value_lanes - 1) / value_lanes;
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
    float key[GSIC_MAX_COLUMNS][A::padded], value[GSIC_MAX_COLUMNS][A::padded];
  };
  union {
    Staged staged;
    alignas(16) float value[A::waves][A::together][A::value_lanes * A::value_runs * 4];
  };
};

/// Where a layer's cache and the pass's own queries, keys and values lie.
struct AttentionInputs {
  const float *source;  ///< [columns, stride]: query heads, key heads and value heads at their columns
  int stride, query, key, value;
  float *keys, *values;
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

/// Four numbers of LDS from a multiple of four on.
inline f32x4 four_at(const float *staged) {
  f32x4 four;
  __builtin_memcpy(&four, __builtin_assume_aligned(staged, 16), sizeof four);
  return four;
}

/// Keys or values of a part that the lanes hold: a position is shared by `Lanes` lanes with `Runs` runs of four
/// channels each.
template <class A, int Lanes, int Runs> struct Held {
  /// Positions that a workgroup takes at once, and how often.
  static constexpr int at_once = A::threads / Lanes, turns = (A::part + at_once - 1) / at_once;
  static constexpr bool whole = Lanes * Runs * 4 <= A::padded;
  int lane = lane_index(), group = wave_index() * (kWave / Lanes) + lane / Lanes;
  float x[turns][Runs][4];

  bool first_of_group() const { return lane % Lanes == 0; }
  /// The position of a turn, from where the part begins.
  int place(int turn) const { return turn * at_once + group; }
  /// Whether a run of a lane is of the head, and where it begins: elsewhere if it is not.
  bool there(int run) const { return whole || (run * Lanes + lane % Lanes) * 4 < A::padded; }
  int channel(int run) const { return there(run) ? (run * Lanes + lane % Lanes) * 4 : 0; }

  /// Loads what the cache has that is seen, of which there is something; in place of the rest, some of it again: loads
  /// that nothing decides go out together.
  void load_cached(const float *cache, const AttentionItem &item, const int64_t (&blocks)[A::part_blocks]) {
    const int into = item.part % A::block, first = item.begin - item.part + into, last = item.cached() - 1 + into;
    const float *const of_head = cache + item.kv_head * A::block * A::padded;
    GSIC_UNROLL
    for (int n = 0; n < turns; n++) {
      const int wanted = place(n) + into;
      const auto found = uint32_t(least(wanted > first ? wanted : first, last));
      const float *const from = of_head + blocks[found / A::block] + found % A::block * A::padded;
      for (int run = 0; run < Runs; run++) {
        const f32x4 four = load(reinterpret_cast<const f32x4 *>(from + uint32_t(channel(run))));
        for (int i = 0; i < 4; i++) x[n][run][i] = four.v[i];
      }
    }
  }
};

}  // namespace gsic

#endif
