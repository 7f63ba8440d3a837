// Causal attention over the KV cache: f32, in blocks of positions, [kv heads, positions, padded head] a layer and
// block.
#ifndef GSIC_ATTENTION_H
#define GSIC_ATTENTION_H

#include "gsic/math.h"
#include "gsic/work.h"

namespace gsic {

template <int Heads, int KvHeads, int HeadDim, int Block> struct Attention {
  static_assert((Block & (Block - 1)) == 0, "a block has a power of two of positions");
  static constexpr int heads = Heads, kv_heads = KvHeads, head_dim = HeadDim, block = Block;
  static constexpr int group = Heads / KvHeads;
  /// A head's vector in the cache: rounded up to whole registers, the rest zero.
  static constexpr int padded = (HeadDim + kLanes - 1) / kLanes * kLanes;
  static constexpr int vectors = padded / kLanes;
  /// Where the vectors of a head begin in a block.
  static int64_t place(int head) { return int64_t(head) * Block * padded; }
};

/// Where the blocks of a column's sequence lie in the cache, in floats.
inline const int64_t *table_of(const gsic_step &step, int column) {
  return reinterpret_cast<const int64_t *>(&step) + step.column[column].table;
}

/// The vectors of one head of the cache.
template <class A> struct CachedHead {
  const float *begin;  ///< of the head, in a block that lies where the cache begins
  const int64_t *table;

  const float *at(int position) const {
    return begin + table[position / A::block] + int64_t(position % A::block) * A::padded;
  }
};

/// Which channels are rotated together.
enum class Pairing { half, adjacent };

/// Rotates the first `rotary` channels of a head by the angles of its position; `table` holds [cosines, sines].
template <Pairing P> inline void rotate(int rotary, float *head, const float *table) {
  const int pairs = rotary / 2;
  for (int i = 0; i < pairs; i++) {
    float &a = head[P == Pairing::half ? i : 2 * i];
    float &b = head[P == Pairing::half ? i + pairs : 2 * i + 1];
    const float cosine = table[i], sine = table[pairs + i], first = a;
    // Which product is rounded is said here: a compiler that chooses may choose another one in each copy of the loop.
    a = fma(first, cosine, -(b * sine));
    b = fma(b, cosine, first * sine);
  }
}

/// Copies the key or value heads of one column into the cache.
template <class A> inline void append(const float *source, float *cache, const int64_t *table, int position) {
  float *block = cache + table[position / A::block] + int64_t(position % A::block) * A::padded;
  for (int head = 0; head < A::kv_heads; head++) {
    float *out = block + A::place(head);
    for (int i = 0; i < A::head_dim; i++) out[i] = source[head * A::head_dim + i];
    for (int i = A::head_dim; i < A::padded; i++) out[i] = 0.0f;
  }
}

/// Up to whole registers.
constexpr int rounded(int length) { return (length + kLanes - 1) / kLanes * kLanes; }

/// One head of one column: y = softmax(scale q K^T) V over positions `begin` to `end` - 1 of its head of the cache.
struct Query {
  const float *head;
  float *y;
  int begin, end;

  /// Scores that it needs room for.
  int room() const { return rounded(end - begin); }
};

template <class A> inline f32x16 partial_score(const f32x16 (&q)[A::vectors], const float *key) {
  f32x16 sum = zero();
  for (int i = 0; i < A::vectors; i++) sum = fma(q[i], load(key + kLanes * i), sum);
  return sum;
}

/// scores[t] = q . k_t for 0 <= t < count. A score is the same wherever a range begins.
template <class A> inline void score(const float *query, const float *keys, int count, float *scores) {
  f32x16 q[A::vectors];
  for (int i = 0; i < A::vectors; i++) q[i] = load(query + kLanes * i);
  int t = 0;
  for (; t + kLanes <= count; t += kLanes) {
    f32x16 sums[kLanes];
    // In order: unrolled, these loads are mixed, and the hardware prefetches a long cache 1.3 times as slowly.
#pragma GCC unroll 1
    for (int i = 0; i < kLanes; i++) sums[i] = partial_score<A>(q, keys + int64_t(t + i) * A::padded);
    store(scores + t, reduce_each(sums));
  }
  for (; t < count; t++) scores[t] = reduce(partial_score<A>(q, keys + int64_t(t) * A::padded));
}

/// scores = e^(scores - the largest); returns their sum. Reads and writes up to the next whole register.
inline float exponentiate(float *scores, int length) {
  const int whole = rounded(length);
  for (int t = length; t < whole; t++) scores[t] = -__builtin_inff();
  f32x16 most = load(scores);
  for (int t = kLanes; t < whole; t += kLanes) most = maximum(most, load(scores + t));
  const f32x16 largest = broadcast(-reduce_maximum(most));
  f32x16 sum = zero();
  for (int t = 0; t < whole; t += kLanes) {
    const f32x16 e = exponential(add(load(scores + t), largest));
    store(scores + t, e);
    sum = add(sum, e);
  }
  return reduce(sum);
}

/// A query's weighted sum of values: two chains of additions, of even and of odd positions, run side by side.
template <class A> struct Mixture {
  f32x16 even[A::vectors], odd[A::vectors];

  void clear() {
    for (int i = 0; i < A::vectors; i++) even[i] = odd[i] = zero();
  }
  /// Positions begin <= t < end, in order; `values` is that of `begin`.
  void add(const float *weights, const float *values, int begin, int end) {
    Mixture sum = *this;  // in registers
    int t = begin;
    const auto value = [&](int at) { return values + int64_t(at - begin) * A::padded; };
    if (t % 2 == 1 && t < end) {
      accumulate(weights[t], value(t), sum.odd);
      t++;
    }
    for (; t + 2 <= end; t += 2) {
      accumulate(weights[t], value(t), sum.even);
      accumulate(weights[t + 1], value(t + 1), sum.odd);
    }
    if (t < end) accumulate(weights[t], value(t), sum.even);
    *this = sum;
  }

 private:
  static void accumulate(float weight, const float *value, f32x16 (&sum)[A::vectors]) {
    for (int i = 0; i < A::vectors; i++) sum[i] = fma(broadcast(weight), load(value + kLanes * i), sum[i]);
  }
};

/// Calls `each(i, begin, end, cached)` for what each query has of every stretch of positions, which a first-level cache
/// holds with the next one: positions of the cache, and the vector of the first. A stretch lies within a block. Asks
/// for the first vectors of the next stretch: of one query only where it is in another block, since within one, the
/// hardware is as fast.
template <class A, class Each>
inline void for_each_stretch(const Query *queries, int count, const CachedHead<A> &cache, Each each) {
  constexpr int near = 2048 / A::padded > kLanes ? 2048 / A::padded / kLanes * kLanes : kLanes;
  int first = queries[0].begin, last = queries[0].end;
  for (int i = 1; i < count; i++) {
    first = queries[i].begin < first ? queries[i].begin : first;
    last = queries[i].end > last ? queries[i].end : last;
  }
  const int longest = count == 1 || near > A::block ? A::block : near;
  const int ahead = count == 1 ? (near / 4 < A::block ? near / 4 : A::block) : longest;
  const int part = (ahead + count - 1) / count;
  for (int start = first, stop; start < last; start = stop) {
    const int whole = start - start % longest + longest;
    stop = whole < last ? whole : last;
    const float *next = stop < last ? cache.at(stop) : nullptr;
    const int known = last - stop < ahead ? last - stop : ahead;
    for (int i = 0; i < count; i++) {
      const Query &query = queries[i];
      for (int t = i * part; t < (i + 1) * part && t < known; t++)
        for (int j = 0; j < A::padded; j += kLanes)
          prefetch(reinterpret_cast<const uint8_t *>(next + int64_t(t) * A::padded + j));
      const int begin = start > query.begin ? start : query.begin, end = stop < query.end ? stop : query.end;
      if (begin < end) each(i, begin, end, cache.at(begin));
    }
  }
}

/// Queries of one head of the cache, which is read from memory once for all of them. What a query gives does not depend
/// on the others. `scores` has their `room` together.
template <class A>
inline void attend(const Query *queries, int count, const CachedHead<A> &keys, const CachedHead<A> &values, float scale,
                   float *scores) {
  float scaled[GSIC_MAX_QUERIES][A::padded], totals[GSIC_MAX_QUERIES], *own[GSIC_MAX_QUERIES];
  for (int i = 0; i < count; i++) {
    for (int j = 0; j < A::padded; j++) scaled[i][j] = j < A::head_dim ? queries[i].head[j] * scale : 0.0f;
    own[i] = scores;
    scores += queries[i].room();
  }
  for_each_stretch<A>(queries, count, keys, [&](int i, int begin, int end, const float *key) {
    score<A>(scaled[i], key, end - begin, own[i] + begin - queries[i].begin);
  });
  for (int i = 0; i < count; i++) totals[i] = exponentiate(own[i], queries[i].end - queries[i].begin);
  Mixture<A> mixtures[GSIC_MAX_QUERIES];
  for (int i = 0; i < count; i++) mixtures[i].clear();
  for_each_stretch<A>(queries, count, values, [&](int i, int begin, int end, const float *value) {
    mixtures[i].add(own[i], value, begin - queries[i].begin, end - queries[i].begin);
  });
  for (int i = 0; i < count; i++) {
    float out[A::padded];
    for (int j = 0; j < A::vectors; j++)
      store(out + kLanes * j, multiply(add(mixtures[i].even[j], mixtures[i].odd[j]), broadcast(1.0f / totals[i])));
    for (int j = 0; j < A::head_dim; j++) queries[i].y[j] = out[j];
  }
}

}  // namespace gsic

#endif
