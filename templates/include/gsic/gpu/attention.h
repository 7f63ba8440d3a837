// Causal attention on a GPU: a workgroup takes one head of one column. It rotates the query and the pass's own keys by
// their positions, appends key and value to the cache, and goes over the positions once, keeping a running softmax.
// Keys and values of several positions are on the way at a time. Which lane adds up which positions, and in which
// order, depends on the positions alone: so results do not depend on how many columns run together. The cache is f32,
// [kv heads, positions, padded head] a layer and block, zero beyond the head.
#ifndef GSIC_GPU_ATTENTION_H
#define GSIC_GPU_ATTENTION_H

#include "gsic/gpu/columns.h"
#include "gsic/gpu/functions.h"
#include "gsic/gpu/heads.h"

namespace gsic {

template <int Heads, int KvHeads, int HeadDim, int Block, int Window, int Waves> struct Attention {
  static constexpr int heads = Heads, kv_heads = KvHeads, head_dim = HeadDim, waves = Waves;
  /// Positions that a query sees, its own among them.
  static constexpr int window = Window;
  static constexpr int group = Heads / KvHeads, padded = (HeadDim + 15) / 16 * 16;
  /// Runs of four channels; the lanes that share a position; the runs of a lane; positions that a workgroup takes at
  /// once.
  static constexpr int quads = (HeadDim + 3) / 4;
  static constexpr int lanes = power_of_two_from(quads) < kWave ? power_of_two_from(quads) : kWave;
  static constexpr int runs = (quads + lanes - 1) / lanes;
  static constexpr int positions = Waves * kWave / lanes;
  /// Positions that a lane takes at a time: sixteen loads of its own are on the way. Those of a turn of the workgroup.
  static constexpr int depth = runs == 1 ? 8 : 4, turn = positions * depth;
  static_assert((Block & (Block - 1)) == 0, "a block has a power of two of positions");
  /// Where a head's vector lies in the cache.
  static int64_t place(const int64_t *table, int head, int position) {
    return load_fresh(table + position / Block) + (head * Block + position % Block) * padded;
  }
};

/// Softmax-weighted values of some positions: sum e^(score - largest), and with the values, four channels a run.
template <class A> struct Running {
  float largest = -__builtin_inff(), weight = 0;
  float value[A::runs][4] = {};

  /// Scales to a new largest score, and returns the factor of what is added.
  float rescale(float score) {
    const float most = score > largest ? score : largest;
    const float keep = largest == most ? 1.0f : exponential(largest - most);
    largest = most;
    weight *= keep;
    for (auto &run : value)
      for (float &channel : run) channel *= keep;
    return score == most ? 1.0f : exponential(score - most);
  }
  /// Adds positions; of one that is not seen the score is -infinity, and the values are zero.
  template <int N> void add(const float (&score)[N], const float (&v)[N][A::runs][4]) {
    float most = score[0];
    GSIC_UNROLL
    for (int n = 1; n < N; n++) most = score[n] > most ? score[n] : most;
    if (most == -__builtin_inff()) return;
    rescale(most);
    GSIC_UNROLL
    for (int n = 0; n < N; n++) {
      const float factor = exponential(score[n] - largest);
      weight += factor;
      for (int run = 0; run < A::runs; run++)
        for (int i = 0; i < 4; i++) value[run][i] = fma(factor, v[n][run][i], value[run][i]);
    }
  }
};

/// Adds what the wave's other lanes with the same channels have.
template <int Mask, class A> inline void merge_lanes(Running<A> &mine) {
  if constexpr (Mask < kWave) {
    const float largest = shuffle_xor<Mask>(mine.largest), weight = shuffle_xor<Mask>(mine.weight);
    float value[A::runs][4];
    for (int run = 0; run < A::runs; run++)
      for (int i = 0; i < 4; i++) value[run][i] = shuffle_xor<Mask>(mine.value[run][i]);
    const float factor = mine.rescale(largest);
    mine.weight += factor * weight;
    for (int run = 0; run < A::runs; run++)
      for (int i = 0; i < 4; i++) mine.value[run][i] += factor * value[run][i];
    merge_lanes<2 * Mask>(mine);
  }
}

/// The sum over the lanes that share a position.
template <class A, int Mask = 1> inline float sum_of_position(float value) {
  if constexpr (Mask < A::lanes)
    return sum_of_position<A, 2 * Mask>(value + shuffle_xor<Mask>(value));
  else
    return value;
}

/// LDS of attention: the pass's own keys and values of a head, and one running softmax a wave.
template <class A> struct AttentionMemory {
  alignas(16) float key[GSIC_MAX_COLUMNS][A::padded], own_value[GSIC_MAX_COLUMNS][A::padded];
  float largest[A::waves], weight[A::waves], value[A::waves][A::lanes * A::runs * 4];
};

/// Where a layer's cache and the pass's own queries, keys and values lie.
struct AttentionInputs {
  const float *source;  ///< [columns, stride]: query heads, key heads and value heads at their columns
  int stride, query, key, value;
  float *keys, *values;
};

/// This lane's channels of a head's vector of the pass itself.
template <class A, class Head> inline void read_own(const Head &head, float (&x)[A::runs][4]) {
  for (int run = 0; run < A::runs; run++)
    for (int i = 0; i < 4; i++) {
      const int channel = (run * A::lanes + lane_index() % A::lanes) * 4 + i;
      x[run][i] = channel < A::head_dim ? head.channel(channel) : 0.0f;
    }
}

/// A lane's channels of a vector of the cache; `mine`: where its channels begin.
template <class A> inline void read_cached(const float *cached, int mine, float (&x)[A::runs][4]) {
  for (int run = 0; run < A::runs; run++) {
    const int first = run * A::lanes * 4 + mine;
    const bool there = A::lanes * A::runs * 4 <= A::padded || first < A::padded;
    const f32x4 four = there ? load(reinterpret_cast<const f32x4 *>(cached + first)) : f32x4{};
    for (int i = 0; i < 4; i++) x[run][i] = four.v[i];
  }
}

/// A lane's channels of a vector in LDS.
template <class A> inline void read_staged(const float (&staged)[A::padded], int mine, float (&x)[A::runs][4]) {
  for (int run = 0; run < A::runs; run++)
    for (int i = 0; i < 4; i++) {
      const int channel = run * A::lanes * 4 + mine + i;
      x[run][i] = channel < A::padded ? staged[channel] : 0.0f;
    }
}

/// The product of a query with a key, in every lane that shares the position.
template <class A> inline float score_of(const float (&q)[A::runs][4], const float (&key)[A::runs][4]) {
  float score = 0;
  for (int run = 0; run < A::runs; run++)
    for (int i = 0; i < 4; i++) score = fma(q[run][i], key[run][i], score);
  return sum_of_position<A>(score);
}

/// Puts the pass's own keys and values of a head, of columns `run` to `column`, where all lanes see them, as they will
/// be in the cache. The first of them is at position `begun`. A barrier must follow.
template <class A, class Turn, class Norm>
inline void stage_own(const AttentionInputs &in, const Turn &turn, const Norm &key_norm, int kv_head, int run,
                      int column, int begun, AttentionMemory<A> &memory) {
  for (int item = thread_index(); item < (column - run + 1) * A::padded; item += A::waves * kWave) {
    const int of_column = run + item / A::padded, i = item % A::padded;
    const float *row = in.source + of_column * in.stride + kv_head * A::head_dim;
    const OwnHead<Norm, Turn> key(row + in.key, key_norm, turn, begun + of_column - run);
    const OwnHead<NoHeadNorm, NoRotary> value(row + in.value, {}, {}, 0);
    memory.key[of_column][i] = i < A::head_dim ? key.channel(i) : 0.0f;
    memory.own_value[of_column][i] = i < A::head_dim ? value.channel(i) : 0.0f;
  }
}

/// Leaves what a wave added up. A barrier must follow.
template <class A> inline void leave(const Running<A> &mine, AttentionMemory<A> &memory) {
  if (lane_index() >= A::lanes) return;
  memory.largest[wave_index()] = mine.largest;
  memory.weight[wave_index()] = mine.weight;
  for (int run = 0; run < A::runs; run++)
    for (int i = 0; i < 4; i++)
      memory.value[wave_index()][(run * A::lanes + lane_index()) * 4 + i] = mine.value[run][i];
}

/// What the waves of the workgroup left, together: the head's result.
template <class A> inline void merge_waves(const AttentionMemory<A> &memory, float *y) {
  for (int i = thread_index(); i < A::head_dim; i += A::waves * kWave) {
    float largest = memory.largest[0], weight = 0, sum = 0;
    for (int wave = 1; wave < A::waves; wave++)
      largest = memory.largest[wave] > largest ? memory.largest[wave] : largest;
    for (int wave = 0; wave < A::waves; wave++) {
      const float factor = memory.largest[wave] == largest ? 1.0f : exponential(memory.largest[wave] - largest);
      weight = fma(factor, memory.weight[wave], weight);
      sum = fma(factor, memory.value[wave][i], sum);
    }
    store(y + i, sum / weight);
  }
}

/// Appends a column's key and value to the cache, at `place`.
template <class A>
inline void append_own(const AttentionInputs &in, int column, int64_t place, const AttentionMemory<A> &memory) {
  for (int i = thread_index(); i < A::head_dim; i += A::waves * kWave) {
    store(in.keys + place + i, memory.key[column][i]);
    store(in.values + place + i, memory.own_value[column][i]);
  }
}

/// One head of one column: y = softmax(scale q K^T) V over the positions up to its own that the window shows.
template <class A, class Turn, class Norm>
inline void attend(const AttentionInputs &in, const Step &step, const Turn &turn, const Norm &query_norm,
                   const Norm &key_norm, int column, int head, float scale, AttentionMemory<A> &memory, float *y) {
  const int kv_head = head / A::group, position = uniform(step.position(column)), run = uniform(step.first(column));
  const int begun = position - (column - run);  // the position of its run's first column
  const int64_t *table = step.table(column);
  const float *row = in.source + column * in.stride;
  stage_own<A>(in, turn, key_norm, kv_head, run, column, begun, memory);
  barrier();
  if (head % A::group == 0) append_own<A>(in, column, A::place(table, kv_head, position), memory);
  float q[A::runs][4];
  read_own<A>(OwnHead<Norm, Turn>(row + in.query + head * A::head_dim, query_norm, turn, position), q);
  for (auto &run : q)
    for (float &channel : run) channel *= scale;

  Running<A> mine;
  const int place = wave_index() * (kWave / A::lanes) + lane_index() / A::lanes;
  const int oldest = position - A::window + 1 > 0 ? position - A::window + 1 : 0;
  const int channels = lane_index() % A::lanes * 4;
  GSIC_KEEP_LOOP
  for (int begin = oldest / A::turn * A::turn; begin <= position; begin += A::turn) {
    int64_t there[A::depth];
    float key[A::depth][A::runs][4], value[A::depth][A::runs][4], score[A::depth];
    GSIC_UNROLL
    for (int n = 0; n < A::depth; n++) {
      // Where there is nothing to load, the first position is: loads that nothing decides go out together.
      const int t = begin + n * A::positions + place;
      there[n] = A::place(table, kv_head, t < begun ? t : 0);
    }
    GSIC_UNROLL
    for (int n = 0; n < A::depth; n++) {
      read_cached<A>(in.keys + there[n], channels, key[n]);
      read_cached<A>(in.values + there[n], channels, value[n]);
    }
    GSIC_UNROLL
    for (int n = 0; n < A::depth; n++) {
      const int t = begin + n * A::positions + place;
      if (t < begun || t > position) continue;
      read_staged<A>(memory.key[t - begun + run], channels, key[n]);
      read_staged<A>(memory.own_value[t - begun + run], channels, value[n]);
    }
    GSIC_UNROLL
    for (int n = 0; n < A::depth; n++) {
      const int t = begin + n * A::positions + place;
      const bool seen = t >= oldest && t <= position;
      const float found = score_of<A>(q, key[n]);
      score[n] = seen ? found : -__builtin_inff();
      for (auto &of_run : value[n])
        for (float &channel : of_run) channel = seen ? channel : 0.0f;
    }
    mine.add(score, value);
  }
  merge_lanes<A::lanes>(mine);
  leave(mine, memory);
  barrier();
  merge_waves(memory, y);
  barrier();
}

}  // namespace gsic

#endif
