// Causal attention on a GPU, in parts: positions are cut at fixed multiples of `part`, and a workgroup takes a part of
// what a column sees, for some query heads that share a head of keys and values. It rotates queries and the pass's own
// keys by their positions, has all the part's keys and values on the way at once, and leaves the softmax-weighted sum
// of the values: the result where the column has one part, else what combine.h adds up. Who adds up which positions,
// and in which order, depends on the positions alone: so results do not depend on how many columns run together. The
// cache is f32, [kv heads, positions, padded head] a layer and block, zero beyond the head.
#ifndef GSIC_GPU_ATTENTION_H
#define GSIC_GPU_ATTENTION_H

#include "gsic/gpu/attention_shape.h"
#include "gsic/gpu/functions.h"
#include "gsic/gpu/heads.h"

namespace gsic {

/// Puts where all lanes see them: where the part's blocks lie, the queries, and the pass's own keys and values as they
/// will be in the cache. A barrier must follow.
template <class A, class Turn, class Norm>
inline void stage(const AttentionInputs &in, const AttentionItem &item, const Turn &turn, const Norm &query_norm,
                  const Norm &key_norm, float scale, AttentionMemory<A> &memory) {
  // On the way together with what follows.
  const bool has_block = thread_index() < A::part_blocks;
  const int last = (item.end - 1) / A::block;
  const int64_t block = has_block ? load_fresh(item.table + least(item.part / A::block + thread_index(), last)) : 0;
  for (int i = thread_index(); i < (A::together + item.own()) * A::padded; i += A::threads) {
    const int vector = i / A::padded, channel = i % A::padded;
    const bool is_query = vector < A::together;
    const int head = least(item.head + vector, (item.kv_head + 1) * A::group - 1);
    const int column = is_query ? item.column : item.column_of(item.own_begin()) + vector - A::together;
    const float *row = in.source + column * in.stride;
    const int kv = item.kv_head * A::head_dim;
    const float *const from = row + (is_query ? in.query + head * A::head_dim : in.key + kv);
    const OwnHead<Norm, Turn> turned(from, is_query ? query_norm : key_norm, turn, item.begun + column - item.run);
    const int there = channel < A::head_dim ? channel : 0;
    const float value = load(row + in.value + kv + there);
    const float found = channel < A::head_dim ? turned.channel(there) : 0.0f;
    if (is_query) {
      memory.staged.query[vector][channel] = scale * found;
    } else {
      memory.staged.key[column][channel] = found;
      memory.staged.value[column][channel] = channel < A::head_dim ? value : 0.0f;
    }
  }
  if (has_block) memory.blocks[thread_index()] = block;
}

/// The sums over the lanes that share a position.
template <int Lanes, int Mask = 1, int N> inline void sum_of_position(float (&value)[N]) {
  if constexpr (Mask < Lanes) {
    GSIC_UNROLL
    for (int n = 0; n < N; n++) value[n] += shuffle_xor<Mask>(value[n]);
    sum_of_position<Lanes, 2 * Mask>(value);
  }
}

/// The products of a head's query with some keys, in all lanes that share a position.
template <class A, class Keys, int N>
inline void products(const Keys &keys, const float (&x)[N][A::key_runs][4], const float *query, float (&sum)[N]) {
  GSIC_UNROLL
  for (int n = 0; n < N; n++) sum[n] = 0;
  for (int run = 0; run < A::key_runs; run++) {
    f32x4 q = four_at(query + keys.channel(run));
    for (float &channel : q.v) channel = keys.there(run) ? channel : 0.0f;
    GSIC_UNROLL
    for (int n = 0; n < N; n++)
      for (int i = 0; i < 4; i++) sum[n] = fma(q.v[i], x[n][run][i], sum[n]);
  }
  sum_of_position<A::key_lanes>(sum);
}

/// Leaves the scores of cached keys. A barrier must follow.
template <class A, class Keys>
inline void score_cached(const Keys &keys, const AttentionItem &item, AttentionMemory<A> &memory) {
  GSIC_UNROLL
  for (int head = 0; head < A::together; head++) {
    float sum[Keys::turns];
    products<A>(keys, keys.x, memory.staged.query[head], sum);
    GSIC_UNROLL
    for (int n = 0; n < Keys::turns; n++)
      if (keys.first_of_group() && keys.place(n) < item.cached()) memory.score[head][keys.place(n)] = sum[n];
  }
}

/// Leaves the scores of the pass's own keys, each computed as that of a cached one. A barrier must follow.
template <class A, class Keys>
inline void score_own(const Keys &keys, const AttentionItem &item, AttentionMemory<A> &memory) {
  GSIC_KEEP_LOOP
  for (int begin = 0; begin < item.own(); begin += Keys::at_once) {
    const int t = least(item.own_begin() + begin + keys.group, item.end - 1);
    float key[1][A::key_runs][4];
    for (int run = 0; run < A::key_runs; run++) {
      const f32x4 four = four_at(memory.staged.key[item.column_of(t)] + keys.channel(run));
      for (int i = 0; i < 4; i++) key[0][run][i] = four.v[i];
    }
    for (int head = 0; head < A::together; head++) {
      float sum[1];
      products<A>(keys, key, memory.staged.query[head], sum);
      if (keys.first_of_group()) memory.score[head][t - item.part] = sum[0];
    }
  }
}

/// Makes weights of scores, e^(score - the largest of the part), and their sums. Ends with a barrier.
template <class A> inline void weigh(const AttentionItem &item, AttentionMemory<A> &memory) {
  constexpr int kScores = A::together * A::part;
  for (int i = thread_index(); i < kScores; i += A::threads) {
    const int head = i / A::part, place = i % A::part;
    const float largest = wave_maximum(item.is_seen(item.part + place) ? memory.score[head][place] : -__builtin_inff());
    if (lane_index() == 0) memory.largest[head][place / kWave] = largest;
  }
  barrier();
  for (int i = thread_index(); i < kScores; i += A::threads) {
    const int head = i / A::part, place = i % A::part;
    const float score = item.is_seen(item.part + place) ? memory.score[head][place] : 0.0f;
    const float factor = exponential(score - largest_of(memory.largest[head]));
    const float weight = item.is_seen(item.part + place) ? factor : 0.0f;
    const int t = item.part + place;
    const bool is_own = t >= item.begun && item.is_seen(t);
    memory.weight[place][head] = is_own ? 0.0f : weight;
    if (is_own) memory.own_weight[item.column_of(t)][head] = weight;
    const float sum = wave_sum(weight);
    if (lane_index() == 0) memory.sum[head][place / kWave] = sum;
  }
  barrier();
}

/// A lane's sums of values by their weights: of head, run and channel.
template <class A> struct ValueSums {
  float x[A::together][A::value_runs][4] = {};

  void add(const float (&weight)[A::together], const float (&value)[A::value_runs][4]) {
    for (int head = 0; head < A::together; head++)
      for (int run = 0; run < A::value_runs; run++)
        for (int i = 0; i < 4; i++) x[head][run][i] = fma(weight[head], value[run][i], x[head][run][i]);
  }
};

/// Adds cached values.
template <class A, class Values>
inline void add_cached(const Values &values, const AttentionMemory<A> &memory, ValueSums<A> &sums) {
  GSIC_UNROLL
  for (int n = 0; n < Values::turns; n++) {
    // Beyond the part there are no weights; its own are zero where nothing is cached.
    if (Values::turns * Values::at_once > A::part && values.place(n) >= A::part) continue;
    sums.add(memory.weight[values.place(n)], values.x[n]);
  }
}

/// Adds the pass's own values, which are behind the cached ones, in the same order.
template <class A, class Values>
inline void add_own(const Values &values, const AttentionItem &item, const AttentionMemory<A> &memory,
                    ValueSums<A> &sums) {
  if (item.own() == 0) return;
  const int from = item.own_begin() - item.part;
  GSIC_KEEP_LOOP
  for (int begin = from / Values::at_once * Values::at_once; begin < item.end - item.part; begin += Values::at_once) {
    const int t = item.part + begin + values.group;
    if (t < item.own_begin() || t >= item.end) continue;
    float value[A::value_runs][4];
    for (int run = 0; run < A::value_runs; run++) {
      const f32x4 four = four_at(memory.staged.value[item.column_of(t)] + values.channel(run));
      for (int i = 0; i < 4; i++) value[run][i] = four.v[i];
    }
    sums.add(memory.own_weight[item.column_of(t)], value);
  }
}

/// Leaves the sums of all waves in place of what was staged. Ends with a barrier.
template <class A, class Values>
inline void leave(const Values &values, ValueSums<A> &sums, AttentionMemory<A> &memory) {
  for (auto &head : sums.x)
    for (auto &run : head)
      for (float &channel : run) channel = wave_sum<A::value_lanes>(channel);
  const int wave = wave_index();
  barrier();
  if (values.lane < A::value_lanes)
    for (int head = 0; head < A::together; head++)
      for (int run = 0; run < A::value_runs; run++)
        __builtin_memcpy(
            __builtin_assume_aligned(memory.value[wave][head] + (run * A::value_lanes + values.lane) * 4, 16),
            sums.x[head][run], sizeof sums.x[head][run]);
  barrier();
}

/// Appends a column's key and value to the cache.
template <class A>
inline void append_own(const AttentionInputs &in, const AttentionItem &item, const AttentionMemory<A> &memory) {
  const int64_t place = memory.blocks[item.position / A::block - item.part / A::block] +
                        (item.kv_head * A::block + item.position % A::block) * A::padded;
  for (int i = thread_index(); i < A::head_dim; i += A::threads) {
    store(in.keys + place + i, memory.staged.key[item.column][i]);
    store(in.values + place + i, memory.staged.value[item.column][i]);
  }
}

/// Computes an item, and calls `give(head, channel, sum, weight, largest)` for all channels of its heads; ends with a
/// barrier.
template <class A, class Turn, class Norm, class Give>
inline void attend(const AttentionInputs &in, const AttentionItem &item, const Turn &turn, const Norm &query_norm,
                   const Norm &key_norm, float scale, AttentionMemory<A> &memory, Give give) {
  stage<A>(in, item, turn, query_norm, key_norm, scale, memory);
  barrier();
  Held<A, A::key_lanes, A::key_runs> keys;
  Held<A, A::value_lanes, A::value_runs> values;
  if (item.has_cached()) {
    keys.load_cached(in.keys, item, memory.blocks);
    values.load_cached(in.values, item, memory.blocks);
    score_cached<A>(keys, item, memory);
  }
  score_own<A>(keys, item, memory);
  if (item.end > item.position && item.head % A::group == 0) append_own<A>(in, item, memory);
  barrier();
  weigh<A>(item, memory);
  ValueSums<A> sums;
  if (item.has_cached()) add_cached<A>(values, memory, sums);
  add_own<A>(values, item, memory, sums);
  leave<A>(values, sums, memory);
  for (int i = thread_index(); i < A::together * A::padded; i += A::threads) {
    const int head = i / A::padded, channel = i % A::padded;
    if (channel >= A::head_dim || item.head + head >= (item.kv_head + 1) * A::group) continue;
    float sum = memory.value[0][head][channel], weight = memory.sum[head][0];
    for (int wave = 1; wave < A::waves; wave++) sum += memory.value[wave][head][channel];
    for (int wave = 1; wave < A::score_waves; wave++) weight += memory.sum[head][wave];
    give(item.head + head, channel, sum, weight, largest_of(memory.largest[head]));
  }
  barrier();
}

/// All that a workgroup computes of a pass. Of a column of one part, y [columns, heads x head] receives the result; of
/// others, `partials` receives parts (`PartialSums`).
template <class A, class Turn, class Norm>
inline void attend_all(const AttentionInputs &in, const gsic_step *step, const Turn &turn, const Norm &query_norm,
                       const Norm &key_norm, float scale, AttentionMemory<A> &memory, float *y, float *partials) {
  const int stride = workgroup_count();
  stage_step(step, memory.step);
  barrier();
  const int columns = uniform(memory.step.columns), most = uniform(A::most_parts_of(memory.step));
  // Rounded up to a power of two: divisions by others take long.
  const int bits = columns == 1 ? 0 : 32 - __builtin_clz(unsigned(columns - 1));
  for (int i = workgroup_index(); i < (most << bits) * A::items; i += stride) {
    const int number = i % A::items, column = i / A::items & ((1 << bits) - 1);
    if (column >= columns) continue;
    const gsic_column &now = memory.step.column[column];
    AttentionItem item;
    item.column = column;
    item.position = uniform(now.position);
    item.run = uniform(now.first);
    item.begun = item.position - (column - item.run);
    const auto seen = A::parts_of(item.position);
    const int part = seen.first + (i / A::items >> bits);
    if (part >= seen.first + seen.count) continue;
    item.kv_head = number / A::packs;
    item.head = item.kv_head * A::group + number % A::packs * A::together;
    item.part = part * A::part;
    item.begin = item.part > seen.oldest ? item.part : seen.oldest;
    item.end = least(item.part + A::part, item.position + 1);
    item.table = reinterpret_cast<const int64_t *>(step) + uniform(now.table);
    const auto give = [&](int head, int channel, float sum, float weight, float largest) {
      if (seen.count == 1)
        return store(y + column * stride_of(A::heads * A::head_dim) + head * A::head_dim + channel, sum / weight);
      using Partial = PartialSums<A::heads, A::head_dim, A>;
      float *const to = partials + Partial::place(column, head, part - seen.first);
      store(to + Partial::kHeader + channel, sum);
      if (channel == 0) store(to, largest);
      if (channel == 0) store(to + 1, weight);
    };
    attend<A>(in, item, turn, query_norm, key_norm, scale, memory, give);
  }
}

}  // namespace gsic

#endif
