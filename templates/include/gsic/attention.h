// Causal attention over the KV cache: f32, one head's keys contiguous, [kv heads, context, padded head] a layer.
#ifndef GSIC_ATTENTION_H
#define GSIC_ATTENTION_H

#include "gsic/math.h"
#include "gsic/work.h"

namespace gsic {

template <int Heads, int KvHeads, int HeadDim, int Context> struct Attention {
  static constexpr int heads = Heads, kv_heads = KvHeads, head_dim = HeadDim, context = Context;
  static constexpr int group = Heads / KvHeads;
  /// A head's vector in the cache: rounded up to whole registers, the rest zero.
  static constexpr int padded = (HeadDim + kLanes - 1) / kLanes * kLanes;
  static constexpr int vectors = padded / kLanes;
  static int64_t place(int head, int position) { return (int64_t(head) * Context + position) * padded; }
};

/// Which channels are rotated together.
enum class Pairing { half, adjacent };

/// Rotates the first `Rotary` channels of a head by the angles of its position; `table` holds [cosines, sines].
template <int Rotary, Pairing P> inline void rotate(float *head, const float *table) {
  constexpr int pairs = Rotary / 2;
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
template <class A> inline void append(const float *source, float *cache, int position) {
  for (int head = 0; head < A::kv_heads; head++) {
    float *out = cache + A::place(head, position);
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

/// scores[t] = q . k_t for begin <= t < end. A score is the same wherever a range begins.
template <class A> inline void score(const float *query, const float *keys, int begin, int end, float *scores) {
  f32x16 q[A::vectors];
  for (int i = 0; i < A::vectors; i++) q[i] = load(query + kLanes * i);
  int t = begin;
  for (; t + kLanes <= end; t += kLanes) {
    f32x16 sums[kLanes];
    // In order: unrolled, these loads are mixed, and the hardware prefetches a long cache 1.3 times as slowly.
#pragma GCC unroll 1
    for (int i = 0; i < kLanes; i++) sums[i] = partial_score<A>(q, keys + int64_t(t + i) * A::padded);
    store(scores + t, reduce_each(sums));
  }
  for (; t < end; t++) scores[t] = reduce(partial_score<A>(q, keys + int64_t(t) * A::padded));
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
  /// Positions begin <= t < end, in order.
  void add(const float *weights, const float *values, int begin, int end) {
    Mixture sum = *this;  // in registers
    int t = begin;
    if (t % 2 == 1 && t < end) {
      accumulate(weights[t], values + int64_t(t) * A::padded, sum.odd);
      t++;
    }
    for (; t + 2 <= end; t += 2) {
      accumulate(weights[t], values + int64_t(t) * A::padded, sum.even);
      accumulate(weights[t + 1], values + int64_t(t + 1) * A::padded, sum.odd);
    }
    if (t < end) accumulate(weights[t], values + int64_t(t) * A::padded, sum.even);
    *this = sum;
  }

 private:
  static void accumulate(float weight, const float *value, f32x16 (&sum)[A::vectors]) {
    for (int i = 0; i < A::vectors; i++) sum[i] = fma(broadcast(weight), load(value + kLanes * i), sum[i]);
  }
};

/// Queries of one head of the cache, which is read from memory once for all of them: a block of positions at a time,
/// that a first-level cache holds with the next one. What a query gives does not depend on the others. `scores` has
/// their `room` together.
template <class A>
inline void attend(const Query *queries, int count, const float *keys, const float *values, float scale,
                   float *scores) {
  constexpr int near = 2048 / A::padded > kLanes ? 2048 / A::padded / kLanes * kLanes : kLanes;
  float scaled[GSIC_MAX_QUERIES][A::padded], totals[GSIC_MAX_QUERIES], *own[GSIC_MAX_QUERIES];
  int first = queries[0].begin, last = 0;
  for (int i = 0; i < count; i++) {
    const Query &query = queries[i];
    for (int j = 0; j < A::padded; j++) scaled[i][j] = j < A::head_dim ? query.head[j] * scale : 0.0f;
    own[i] = scores;
    scores += query.room();
    first = query.begin < first ? query.begin : first;
    last = query.end > last ? query.end : last;
  }
  // Calls `each(i, begin, end)` for what query i has of each block, counted from its own first position. One
  // query reads as fast as the hardware's own prefetching allows; several ask for a part of the next block each.
  const auto each_block = [&](const float *cache, auto each) {
    const int block = count == 1 ? last - first : near;
    const int part = (near + count - 1) / count;
    for (int start = first; start < last; start += block)
      for (int i = 0; i < count; i++) {
        if (count > 1)
          for (int t = start + block + i * part, stop = t + part < last ? t + part : last; t < stop; t++)
            for (int j = 0; j < A::padded; j += kLanes)
              prefetch(reinterpret_cast<const uint8_t *>(cache + int64_t(t) * A::padded + j));
        const int begin = (start > queries[i].begin ? start : queries[i].begin) - queries[i].begin;
        const int end = (start + block < queries[i].end ? start + block : queries[i].end) - queries[i].begin;
        if (begin < end) each(i, begin, end);
      }
  };
  const auto at = [&](const float *cache, int i) { return cache + int64_t(queries[i].begin) * A::padded; };
  each_block(keys, [&](int i, int begin, int end) { score<A>(scaled[i], at(keys, i), begin, end, own[i]); });
  for (int i = 0; i < count; i++) totals[i] = exponentiate(own[i], queries[i].end - queries[i].begin);
  Mixture<A> mixtures[GSIC_MAX_QUERIES];
  for (int i = 0; i < count; i++) mixtures[i].clear();
  each_block(values, [&](int i, int begin, int end) { mixtures[i].add(own[i], at(values, i), begin, end); });
  for (int i = 0; i < count; i++) {
    float out[A::padded];
    for (int j = 0; j < A::vectors; j++)
      store(out + kLanes * j, multiply(add(mixtures[i].even[j], mixtures[i].odd[j]), broadcast(1.0f / totals[i])));
    for (int j = 0; j < A::head_dim; j++) queries[i].y[j] = out[j];
  }
}

}  // namespace gsic

#endif
