// The keys or values of a part that the lanes of attention hold.
#ifndef GSIC_GPU_CACHED_H
#define GSIC_GPU_CACHED_H

#include "gsic/gpu/attention_shape.h"

namespace gsic {

/// The positions of a block of the cache that are seen and kept there, counted from the block's first, and where it
/// lies. The same in all lanes of a wave.
struct SeenBlock {
  int64_t place;
  int first, last;
};

/// Keys or values of a part: a position is shared by `Lanes` lanes with `Runs` runs of channels each.
template <class A, int Lanes, int Runs> struct Held {
  using E = typename A::element;
  /// Positions that a workgroup takes at once, and how often.
  static constexpr int at_once = A::threads / Lanes, turns = (A::part + at_once - 1) / at_once;
  static constexpr bool whole = Lanes * Runs * E::run <= A::padded;
  int lane = lane_index(), group = wave_index() * (kWave / Lanes) + lane / Lanes;
  /// As they are stored: what waits for one keeps others from being asked for.
  typename E::Raw raw[turns][Runs];

  Floats<E::run> widened(int turn, int run) const { return E::widen(raw[turn][run]); }
  bool first_of_group() const { return lane % Lanes == 0; }
  /// The position of a turn, from where the part begins.
  int place(int turn) const { return turn * at_once + group; }
  /// Whether a run of a lane is of the head, and where it begins: elsewhere if it is not.
  bool there(int run) const { return whole || (run * Lanes + lane % Lanes) * E::run < A::padded; }
  int channel(int run) const { return there(run) ? (run * Lanes + lane % Lanes) * E::run : 0; }

  /// Loads what the cache has that is seen, of which there is something; in place of the rest, some of it again: loads
  /// that nothing decides go out together.
  void load_cached(const uint8_t *cache, const AttentionItem &item, const int64_t (&blocks)[A::part_blocks]) {
    const int into = item.part % A::block, first = item.begin - item.part + into, last = item.cached() - 1 + into;
    const uint8_t *const of_head = cache + A::head_place(item.kv_head);
    if constexpr (A::block % at_once == 0 && A::part % at_once == 0) {
      SeenBlock seen[A::part_blocks];
      GSIC_UNROLL
      for (int i = 0; i < A::part_blocks; i++) {
        const int which = between(first / A::block, i, last / A::block);
        seen[i] = {uniform(4 * blocks[which]), which == first / A::block ? first % A::block : 0,
                   which == last / A::block ? last % A::block : A::block - 1};
      }
      GSIC_UNROLL
      for (int n = 0; n < turns; n++) {
        const SeenBlock &block = seen[n * at_once / A::block];
        load_from(n, of_head + block.place, between(block.first, (into + place(n)) % A::block, block.last));
      }
    } else {
      GSIC_UNROLL
      for (int n = 0; n < turns; n++) {
        const int found = between(first, into + place(n), last);
        load_from(n, of_head + 4 * blocks[found / A::block], found % A::block);
      }
    }
  }

 private:
  /// `x`, or the nearest number from `low` to `high`.
  static int between(int low, int x, int high) { return least(x > low ? x : low, high); }

  void load_from(int turn, const uint8_t *block, int position) {
    for (int run = 0; run < Runs; run++) {
      const auto place = uint32_t(position * A::pitch + channel(run) * E::bytes);
      raw[turn][run] = load(reinterpret_cast<const typename E::Raw *>(block + place));
    }
  }
};

}  // namespace gsic

#endif
