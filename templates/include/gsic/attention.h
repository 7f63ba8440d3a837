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

/// Which channels turn together.
enum class Pairing { half, adjacent };

/// Turns the first `Rotary` channels of a head by the angles of its position; `table` holds [cosines, sines].
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

template <class A> inline f32x16 partial_score(const f32x16 (&q)[A::vectors], const float *key) {
  f32x16 sum = zero();
  for (int i = 0; i < A::vectors; i++) sum = fma(q[i], load(key + kLanes * i), sum);
  return sum;
}

/// scores[t] = scale q . k_t for t < length; returns the largest.
template <class A>
inline float score(const float *query, const float *keys, float scale, int length, float *scores) {
  f32x16 q[A::vectors];
  for (int i = 0; i < A::vectors; i++) q[i] = multiply(load(query + kLanes * i), broadcast(scale));
  f32x16 largest = broadcast(-__builtin_inff());
  int t = 0;
  for (; t + kLanes <= length; t += kLanes) {
    f32x16 sums[kLanes];
    for (int i = 0; i < kLanes; i++) sums[i] = partial_score<A>(q, keys + (t + i) * A::padded);
    const f32x16 sixteen = reduce_each(sums);
    store(scores + t, sixteen);
    largest = maximum(largest, sixteen);
  }
  float last = reduce_maximum(largest);
  for (; t < length; t++) {
    scores[t] = reduce(partial_score<A>(q, keys + t * A::padded));
    last = scores[t] > last ? scores[t] : last;
  }
  return last;
}

/// scores = e^(scores - largest); returns their sum. Reads and writes up to the next whole register.
inline float exponentiate(float *scores, int length, float largest) {
  const int whole = (length + kLanes - 1) / kLanes * kLanes;
  for (int t = length; t < whole; t++) scores[t] = -__builtin_inff();
  f32x16 sum = zero();
  for (int t = 0; t < whole; t += kLanes) {
    const f32x16 e = exponential(add(load(scores + t), broadcast(-largest)));
    store(scores + t, e);
    sum = add(sum, e);
  }
  return reduce(sum);
}

template <class A> inline void accumulate(f32x16 weight, const float *value, f32x16 (&sum)[A::vectors]) {
  for (int i = 0; i < A::vectors; i++) sum[i] = fma(weight, load(value + kLanes * i), sum[i]);
}

/// One head of one column: y = softmax(scale q K^T) V over the first `length` positions.
template <class A>
inline void attend(const float *query, const float *keys, const float *values, float scale, int length,
                   float *scores, float *y) {
  float q[A::padded], out[A::padded];
  for (int i = 0; i < A::padded; i++) q[i] = i < A::head_dim ? query[i] : 0.0f;
  const float total = exponentiate(scores, length, score<A>(q, keys, scale, length, scores));
  f32x16 even[A::vectors], odd[A::vectors];  // positions: two chains of additions run side by side
  for (int i = 0; i < A::vectors; i++) even[i] = odd[i] = zero();
  int t = 0;
  for (; t + 2 <= length; t += 2, values += 2 * A::padded) {
    accumulate<A>(broadcast(scores[t]), values, even);
    accumulate<A>(broadcast(scores[t + 1]), values + A::padded, odd);
  }
  if (t < length) accumulate<A>(broadcast(scores[t]), values, even);
  for (int i = 0; i < A::vectors; i++)
    store(out + kLanes * i, multiply(add(even[i], odd[i]), broadcast(1.0f / total)));
  for (int i = 0; i < A::head_dim; i++) y[i] = out[i];
}

}  // namespace gsic

#endif
