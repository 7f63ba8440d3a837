// Causal attention over the KV cache, which lies in blocks of positions. Of a layer, a block has keys and values:
// [kv heads, positions, padded head] numbers of f32, f16 or eight bits; of eight bits, each head's vectors are followed
// by their scales, [positions] f32.
#ifndef GSIC_ATTENTION_H
#define GSIC_ATTENTION_H

#include "gsic/math.h"
#include "gsic/work.h"

namespace gsic {

/// Vectors of the cache as they are.
struct CacheF32 {
  static constexpr int bytes = 4;
  static constexpr bool scaled = false;
  static f32x16 load(const uint8_t *p) { return gsic::load(reinterpret_cast<const float *>(p)); }
  static float store(const float *vector, int length, uint8_t *p) {
    memcpy(p, vector, size_t(length) * 4);
    return 1.0f;
  }
};

/// Vectors rounded to f16, to even; what is beyond its range becomes its largest number.
struct CacheF16 {
  static constexpr int bytes = 2;
  static constexpr bool scaled = false;
  static f32x16 load(const uint8_t *p) { return load_f16(p); }
  static float store(const float *vector, int length, uint8_t *p) {
    constexpr float largest = 65504.0f;
    for (int i = 0; i < length; i += kLanes) {
      float part[kLanes];
      for (int j = 0; j < kLanes; j++) {
        const float x = vector[i + j];
        part[j] = x > largest ? largest : x < -largest ? -largest : x;
      }
      store_f16(p + 2 * i, gsic::load(part));
    }
    return 1.0f;
  }
};

/// Vectors as integers: x ~ scale q, |q| <= 127, with a scale for each vector.
struct CacheInt8 {
  static constexpr int bytes = 1;
  static constexpr bool scaled = true;
  static f32x16 load(const uint8_t *p) { return to_f32(load_i8(p)); }
  /// Returns the scale.
  static float store(const float *vector, int length, uint8_t *p) {
    float most = 0.0f;
    for (int i = 0; i < length; i++) {
      const float size = vector[i] < 0.0f ? -vector[i] : vector[i];
      most = size > most ? size : most;
    }
    const f32x16 factor = broadcast(most > 0.0f ? 127.0f / most : 0.0f);
    for (int i = 0; i < length; i += kLanes) {
      int32_t q[kLanes];
      store_i32(reinterpret_cast<uint8_t *>(q), round_to_i32(multiply(gsic::load(vector + i), factor)));
      for (int j = 0; j < kLanes; j++) p[i + j] = uint8_t(q[j] > 127 ? 127 : q[j] < -127 ? -127 : q[j]);
    }
    return most / 127.0f;
  }
};

/// Bytes of all that a block of positions has of a head, whose vectors have `padded` numbers.
template <class Element> constexpr int64_t cached_bytes(int block, int padded) {
  return int64_t(block) * (padded * Element::bytes + (Element::scaled ? 4 : 0));
}

/// Puts a vector into what a block has of a head, which begins at `head`: vectors, then scales.
template <class Element> inline void put(const float *vector, int padded, uint8_t *head, int block, int slot) {
  const int64_t pitch = int64_t(padded) * Element::bytes;
  const float scale = Element::store(vector, padded, head + slot * pitch);
  if (Element::scaled) reinterpret_cast<float *>(head + block * pitch)[slot] = scale;
}

template <int Heads, int KvHeads, int HeadDim, int Block, class Element = CacheF32> struct Attention {
  static_assert((Block & (Block - 1)) == 0, "a block has a power of two of positions");
  using element = Element;
  static constexpr int heads = Heads, kv_heads = KvHeads, head_dim = HeadDim, block = Block;
  static constexpr int group = Heads / KvHeads;
  /// A head's vector in the cache: rounded up to whole registers, the rest zero.
  static constexpr int padded = (HeadDim + kLanes - 1) / kLanes * kLanes;
  static constexpr int vectors = padded / kLanes;
  /// Bytes of a vector.
  static constexpr int pitch = padded * Element::bytes;
  /// Where a head begins in a block, in bytes.
  static int64_t place(int head) { return head * cached_bytes<Element>(Block, padded); }
};

/// Where the blocks of a column's sequence lie in the cache, in units of four bytes.
inline const int64_t *table_of(const gsic_step &step, int column) {
  return reinterpret_cast<const int64_t *>(&step) + step.column[column].table;
}

/// Vectors of consecutive positions, and their scales where they have some.
template <class A> struct CachedVectors {
  const uint8_t *first;
  const float *scales;

  f32x16 load(int at, int i) const {
    return A::element::load(first + int64_t(at) * A::pitch + kLanes * A::element::bytes * i);
  }
};

/// The vectors of one head of the cache.
template <class A> struct CachedHead {
  const uint8_t *begin;  ///< of the head, in a block that lies where the cache begins
  const int64_t *table;

  /// Those of `position` and what follows it in its block.
  CachedVectors<A> at(int position) const {
    const uint8_t *block = begin + 4 * table[position / A::block];
    const int slot = position % A::block;
    return {
        block + int64_t(slot) * A::pitch,
        A::element::scaled ? reinterpret_cast<const float *>(block + int64_t(A::block) * A::pitch) + slot : nullptr};
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

/// Puts the key or value heads of one column into the cache.
template <class A> inline void append(const float *source, uint8_t *cache, const int64_t *table, int position) {
  uint8_t *block = cache + 4 * table[position / A::block];
  const int slot = position % A::block;
  for (int head = 0; head < A::kv_heads; head++) {
    float vector[A::padded] = {};
    for (int i = 0; i < A::head_dim; i++) vector[i] = source[head * A::head_dim + i];
    put<typename A::element>(vector, A::padded, block + A::place(head), A::block, slot);
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

template <class A> inline f32x16 partial_score(const f32x16 (&q)[A::vectors], const CachedVectors<A> &keys, int t) {
  f32x16 sum = zero();
  for (int i = 0; i < A::vectors; i++) sum = fma(q[i], keys.load(t, i), sum);
  return sum;
}

/// scores[t] = q . k_t for 0 <= t < count. A score is the same wherever a range begins.
template <class A> inline void score(const float *query, const CachedVectors<A> &keys, int count, float *scores) {
  f32x16 q[A::vectors];
  for (int i = 0; i < A::vectors; i++) q[i] = load(query + kLanes * i);
  int t = 0;
  for (; t + kLanes <= count; t += kLanes) {
    f32x16 sums[kLanes];
    // In order: unrolled, these loads are mixed, and the hardware prefetches a long cache 1.3 times as slowly.
#pragma GCC unroll 1
    for (int i = 0; i < kLanes; i++) sums[i] = partial_score<A>(q, keys, t + i);
    const f32x16 all = reduce_each(sums);
    store(scores + t, A::element::scaled ? multiply(all, load(keys.scales + t)) : all);
  }
  for (; t < count; t++) {
    const float one = reduce(partial_score<A>(q, keys, t));
    scores[t] = A::element::scaled ? one * keys.scales[t] : one;
  }
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
  /// Positions begin <= t < end, in order; `values` are those from `begin` on.
  void add(const float *weights, const CachedVectors<A> &values, int begin, int end) {
    Mixture sum = *this;  // in registers
    int t = begin;
    const auto accumulate = [&](int at, f32x16(&chain)[A::vectors]) {
      const float weight = A::element::scaled ? weights[at] * values.scales[at - begin] : weights[at];
      for (int i = 0; i < A::vectors; i++) chain[i] = fma(broadcast(weight), values.load(at - begin, i), chain[i]);
    };
    if (t % 2 == 1 && t < end) {
      accumulate(t, sum.odd);
      t++;
    }
    for (; t + 2 <= end; t += 2) {
      accumulate(t, sum.even);
      accumulate(t + 1, sum.odd);
    }
    if (t < end) accumulate(t, sum.even);
    *this = sum;
  }
};

/// Calls `each(i, begin, end, cached)` for what each query has of every stretch of positions, which a first-level cache
/// holds with the next one: positions of the cache, and their vectors. A stretch lies within a block. Asks
/// for the first vectors of the next stretch: of one query only where it is in another block, since within one, the
/// hardware is as fast.
template <class A, class Each>
inline void for_each_stretch(const Query *queries, int count, const CachedHead<A> &cache, Each each) {
  constexpr int near = 8192 / A::pitch > kLanes ? 8192 / A::pitch / kLanes * kLanes : kLanes;
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
    const uint8_t *next = stop < last ? cache.at(stop).first : nullptr;
    const int known = last - stop < ahead ? last - stop : ahead;
    for (int i = 0; i < count; i++) {
      const Query &query = queries[i];
      for (int t = i * part; t < (i + 1) * part && t < known; t++)
        for (int j = 0; j < A::pitch; j += 64) prefetch(next + int64_t(t) * A::pitch + j);
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
  for_each_stretch<A>(queries, count, keys, [&](int i, int begin, int end, const CachedVectors<A> &key) {
    score<A>(scaled[i], key, end - begin, own[i] + begin - queries[i].begin);
  });
  for (int i = 0; i < count; i++) totals[i] = exponentiate(own[i], queries[i].end - queries[i].begin);
  Mixture<A> mixtures[GSIC_MAX_QUERIES];
  for (int i = 0; i < count; i++) mixtures[i].clear();
  for_each_stretch<A>(queries, count, values, [&](int i, int begin, int end, const CachedVectors<A> &value) {
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
