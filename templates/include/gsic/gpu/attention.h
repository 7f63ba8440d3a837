// Causal attention on a GPU, in parts: positions are cut at fixed multiples of `part`, and a workgroup takes a part of
// what a column sees, for some query heads that share a head of keys and values. It rotates queries and the pass's own
// keys by their positions, has all the part's keys and values on the way at once, and leaves the softmax-weighted sum
// of the values: the result where the column has one part, else what combine.h adds up. Who adds up which positions,
// and in which order, depends on the positions alone: so results do not depend on how many columns run together. The
// cache is [kv heads, positions, padded head] a layer and block, of f32 or f16, zero beyond the head.
#ifndef GSIC_GPU_ATTENTION_H
#define GSIC_GPU_ATTENTION_H

#include "gsic/gpu/cached.h"
#include "gsic/gpu/functions.h"
#include "gsic/gpu/heads.h"

namespace gsic {

/// Calls `body(i)` for all i below `Count`, a turn of all lanes at a time.
template <class A, int Count, class Body> inline void in_turns(Body body) {
  GSIC_UNROLL
  for (int n = 0; n < (Count + A::threads - 1) / A::threads; n++) {
    const int i = thread_index() + n * A::threads;
    if (Count % A::threads == 0 || i < Count) body(i);
  }
}

/// What lanes put where all see it: a pass's own heads, normalised and rotated.
template <class A, class Turn, class Norm> struct OwnHeads {
  const AttentionInputs &in;
  const AttentionItem &item;
  const Turn &turn;
  const Norm &query_norm, &key_norm;

  /// Element `i` of the queries [together, padded].
  float query(int i) const {
    const int head = least(item.head + i / A::padded, (item.kv_head + 1) * A::group - 1);
    const OwnHead<Norm, Turn> found(row(item.column) + in.query + head * A::head_dim, query_norm, turn, item.position);
    return in_head(i) ? found.channel(channel(i)) : 0.0f;
  }
  /// Element `i` of [key and value, padded] of a column, as the cache keeps it.
  float key_or_value(int column, int i) const {
    const int begin = item.kv_head * A::head_dim;
    const OwnHead<Norm, Turn> key(row(column) + in.key + begin, key_norm, turn, item.begun + column - item.run);
    const float value = load(row(column) + in.value + begin + channel(i)), turned = key.channel(channel(i));
    return in_head(i) ? A::element::rounded(i < A::padded ? turned : value) : 0.0f;
  }

 private:
  const float *row(int column) const { return in.source + column * in.stride; }
  static bool in_head(int i) { return i % A::padded < A::head_dim; }
  static int channel(int i) { return in_head(i) ? i % A::padded : 0; }
};

/// Puts where all lanes see them: where the part's blocks lie, the queries, and the pass's own keys and values as they
/// will be in the cache. A barrier must follow.
template <class A, class Turn, class Norm>
inline void stage(const AttentionInputs &in, const AttentionItem &item, const Turn &turn, const Norm &query_norm,
                  const Norm &key_norm, float scale, AttentionMemory<A> &memory) {
  constexpr int queries = A::together * A::padded, turns = (queries + A::threads - 1) / A::threads;
  const OwnHeads<A, Turn, Norm> heads{in, item, turn, query_norm, key_norm};
  // All that one column brings is on the way together.
  const bool has_block = thread_index() < A::part_blocks;
  const int last = (item.end - 1) / A::block;
  const int64_t block = has_block ? load_fresh(item.table + least(item.part / A::block + thread_index(), last)) : 0;
  float query[turns];
  GSIC_UNROLL
  for (int n = 0; n < turns; n++) query[n] = heads.query(least(thread_index() + n * A::threads, queries - 1));
  const int own = item.own() * 2 * A::padded, first = own > 0 ? item.column_of(item.own_begin()) : item.column;
  const auto key_or_value = [&](int i) { return heads.key_or_value(first + i / (2 * A::padded), i % (2 * A::padded)); };
  const auto keep = [&](int i, float x) {
    memory.staged.own[first + i / (2 * A::padded)][i / A::padded % 2][i % A::padded] = x;
  };
  const float begun = key_or_value(thread_index() < own ? thread_index() : 0);
  in_turns<A, queries>(
      [&](int i) { memory.staged.query[i / A::padded][i % A::padded] = scale * query[i / A::threads]; });
  if (thread_index() < own) keep(thread_index(), begun);
  if (!kOneColumn || 2 * A::padded > A::threads) {
    GSIC_KEEP_LOOP
    for (int i = thread_index() + A::threads; i < own; i += A::threads) keep(i, key_or_value(i));
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

/// The products of a head's query with some keys, `channels(n, run)`, in all lanes that share a position.
template <class A, class Keys, class Channels, int N>
inline void products(const Keys &keys, Channels channels, const float *query, float (&sum)[N]) {
  constexpr int kRun = A::element::run;
  f32x2 both[N] = {};
  GSIC_UNROLL
  for (int run = 0; run < A::key_runs; run++) {
    Floats<kRun> q = floats_at<kRun>(query + keys.channel(run));
    for (float &channel : q.v) channel = keys.there(run) ? channel : 0.0f;
    GSIC_UNROLL
    for (int n = 0; n < N; n++) both[n] = add_products(q, channels(n, run), both[n]);
  }
  for (int n = 0; n < N; n++) sum[n] = both[n].v[0] + both[n].v[1];
  sum_of_position<A::key_lanes>(sum);
}

/// Leaves the scores of cached keys. A barrier must follow.
template <class A, class Keys>
inline void score_cached(const Keys &keys, const AttentionItem &item, AttentionMemory<A> &memory) {
  GSIC_UNROLL
  for (int head = 0; head < A::together; head++) {
    float sum[Keys::turns];
    products<A>(keys, [&](int n, int run) { return keys.widened(n, run); }, memory.staged.query[head], sum);
    GSIC_UNROLL
    for (int n = 0; n < Keys::turns; n++)
      if (keys.first_of_group() && keys.place(n) < item.cached()) memory.score[head][keys.place(n)] = sum[n];
  }
}

/// Leaves the scores of the pass's own keys, each computed as that of a cached one. A barrier must follow.
template <class A, class Keys>
inline void score_own(const Keys &keys, const AttentionItem &item, AttentionMemory<A> &memory) {
  constexpr int kRun = A::element::run;
  const int count = item.own() * A::together;
  GSIC_KEEP_LOOP
  for (int begin = 0; begin < count; begin += Keys::at_once) {
    const int number = least(begin + keys.group, count - 1), head = number % A::together;
    const int t = item.own_begin() + number / A::together;
    const float *const key = memory.staged.own[item.column_of(t)][0];
    float sum[1];
    products<A>(
        keys, [&](int, int run) { return floats_at<kRun>(key + keys.channel(run)); }, memory.staged.query[head], sum);
    if (keys.first_of_group()) memory.score[head][t - item.part] = sum[0];
  }
}

/// Makes weights of scores, e^(score - the largest of the part), and their sums. Ends with a barrier.
template <class A> inline void weigh(const AttentionItem &item, AttentionMemory<A> &memory) {
  constexpr int kScores = A::together * A::part;
  in_turns<A, kScores>([&](int i) {
    const int head = i / A::part, place = i % A::part;
    const float largest = wave_maximum(item.is_seen(item.part + place) ? memory.score[head][place] : -__builtin_inff());
    if (lane_index() == 0) memory.largest[head][place / kWave] = largest;
  });
  barrier();
  in_turns<A, kScores>([&](int i) {
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
  });
  barrier();
}

/// A lane's sums of values by their weights: of head, run and channel.
template <class A> struct ValueSums {
  Floats<A::element::run> x[A::together][A::value_runs] = {};

  /// `channels(run)` is of the value.
  template <class Channels> void add(const float (&weight)[A::together], Channels channels) {
    GSIC_UNROLL
    for (int run = 0; run < A::value_runs; run++) {
      const Floats<A::element::run> value = channels(run);
      for (int head = 0; head < A::together; head++) add_multiple(weight[head], value, x[head][run]);
    }
  }
};

/// Adds cached values.
template <class A, class Values>
inline void add_cached(const Values &values, const AttentionMemory<A> &memory, ValueSums<A> &sums) {
  GSIC_UNROLL
  for (int n = 0; n < Values::turns; n++) {
    // Beyond the part there are no weights; its own are zero where nothing is cached.
    if (Values::turns * Values::at_once > A::part && values.place(n) >= A::part) continue;
    sums.add(memory.weight[values.place(n)], [&](int run) { return values.widened(n, run); });
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
    const float *const value = memory.staged.own[item.column_of(t)][1];
    sums.add(memory.own_weight[item.column_of(t)],
             [&](int run) { return floats_at<A::element::run>(value + values.channel(run)); });
  }
}

/// Leaves the sums of all waves in place of what was staged. Ends with a barrier.
template <class A, class Values>
inline void leave(const Values &values, ValueSums<A> &sums, AttentionMemory<A> &memory) {
  constexpr int kLanes = A::value_lanes * A::value_sums;
  for (auto &head : sums.x)
    for (auto &run : head)
      for (float &channel : run.v) channel = wave_sum<kLanes>(channel);
  const int sum = wave_index() * A::value_sums + values.lane / A::value_lanes;
  const int first = values.lane % A::value_lanes * A::element::run;
  barrier();
  if (values.lane < kLanes)
    for (int head = 0; head < A::together; head++)
      for (int run = 0; run < A::value_runs; run++)
        __builtin_memcpy(
            __builtin_assume_aligned(memory.value[sum][head] + run * A::value_lanes * A::element::run + first, 16),
            sums.x[head][run].v, sizeof sums.x[head][run].v);
  barrier();
}

/// Appends a column's key and value to a cache, which keeps numbers as `E` does.
template <class A, class E>
inline void append_as(uint8_t *keys, uint8_t *values, const AttentionItem &item, const AttentionMemory<A> &memory) {
  const int64_t vector = int64_t(item.kv_head) * A::block + item.position % A::block;
  const int64_t place =
      4 * memory.blocks[item.position / A::block - item.part / A::block] + vector * A::padded * E::bytes;
  for (int i = thread_index(); i < A::head_dim; i += A::threads) {
    E::put(keys + place + i * E::bytes, memory.staged.own[item.column][0][i]);
    E::put(values + place + i * E::bytes, memory.staged.own[item.column][1][i]);
  }
}
template <class A>
inline void append_own(const AttentionInputs &in, const AttentionItem &item, const AttentionMemory<A> &memory) {
  append_as<A, typename A::element>(in.keys, in.values, item, memory);
  if constexpr (is_kept<typename A::drafts>)
    append_as<A, typename A::drafts>(in.draft_keys, in.draft_values, item, memory);
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
  in_turns<A, A::together * A::padded>([&](int i) {
    const int head = i / A::padded, channel = i % A::padded;
    if (channel >= A::head_dim || item.head + head >= (item.kv_head + 1) * A::group) return;
    float sum = memory.value[0][head][channel], weight = memory.sum[head][0];
    for (int other = 1; other < A::waves * A::value_sums; other++) sum += memory.value[other][head][channel];
    for (int wave = 1; wave < A::score_waves; wave++) weight += memory.sum[head][wave];
    give(item.head + head, channel, sum, weight, largest_of(memory.largest[head]));
  });
  barrier();
}

/// All that a workgroup computes of a pass. Of a column of one part, y [columns, heads x head] receives the result,
/// unless a projection stages parts; of others, `partials` receives parts (`PartialSums`).
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
      if (A::staged == 0 && seen.count == 1)
        return store(y + column * stride_of(A::heads * A::head_dim) + head * A::head_dim + channel, sum / weight);
      using Partial = PartialSums<A::heads, A::head_dim, A>;
      float *const to = partials + Partial::place(column, head, 0);
      store(to + (part - seen.first) * Partial::row + Partial::kHeader + channel, sum);
      if (channel > 0) return;
      Partial::leave_header(to, part - seen.first, {largest, weight});
      if (part == seen.first) Partial::leave_none(to, seen.count);
    };
    attend<A>(in, item, turn, query_norm, key_norm, scale, memory, give);
  }
}

}  // namespace gsic

#endif
