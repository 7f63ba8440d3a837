// The CPU dialect: sixteen lanes of f32 and of i32, as one, two or sixteen machine registers.
//
// Every target has the same sixteen lanes and reduces them in the same order, so kernels add in the same order on
// all of them. AVX-512 and AVX2 give the same bits; the portable form rounds products once more where the machine
// has no fused multiply-add.
#ifndef GSIC_DIALECT_CPU_H
#define GSIC_DIALECT_CPU_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "gsic/dialect/half.h"

namespace gsic {

constexpr int kLanes = 16;

#if defined(__AVX512F__)

/// Columns that one tile multiplies at once: as many accumulators as the registers hold.
constexpr int kColumnBlock = 6;

struct f32x16 {
  __m512 v;
};
struct i32x16 {
  __m512i v;
};

inline f32x16 zero() { return {_mm512_setzero_ps()}; }
inline f32x16 broadcast(float a) { return {_mm512_set1_ps(a)}; }
inline f32x16 load(const float *p) { return {_mm512_loadu_ps(p)}; }
inline void store(float *p, f32x16 a) { _mm512_storeu_ps(p, a.v); }
inline f32x16 add(f32x16 a, f32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline f32x16 multiply(f32x16 a, f32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline f32x16 maximum(f32x16 a, f32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
/// a * b + c, rounded once.
inline f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }

inline f32x16 load_f16(const uint8_t *p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)))};
}
inline i32x16 load_u8(const uint8_t *p) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)))};
}
inline i32x16 load_i8(const uint8_t *p) {
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)))};
}
inline i32x16 load_i32(const uint8_t *p) { return {_mm512_loadu_si512(p)}; }
inline i32x16 broadcast_i32(int32_t a) { return {_mm512_set1_epi32(a)}; }
inline i32x16 lane_index() { return {_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)}; }
inline i32x16 bit_and(i32x16 a, i32x16 b) { return {_mm512_and_si512(a.v, b.v)}; }
inline i32x16 bit_or(i32x16 a, i32x16 b) { return {_mm512_or_si512(a.v, b.v)}; }
/// a | (b & mask)
inline i32x16 or_masked(i32x16 a, i32x16 b, i32x16 mask) { return {_mm512_ternarylogic_epi32(a.v, b.v, mask.v, 0xf8)}; }
template <int N> inline i32x16 shift_left(i32x16 a) { return {_mm512_slli_epi32(a.v, N)}; }
template <int N> inline i32x16 shift_right(i32x16 a) { return {_mm512_srli_epi32(a.v, N)}; }
inline i32x16 shift_right(i32x16 a, i32x16 by) { return {_mm512_srlv_epi32(a.v, by.v)}; }
inline f32x16 to_f32(i32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline i32x16 round_to_i32(f32x16 a) { return {_mm512_cvtps_epi32(a.v)}; }
inline i32x16 add_i32(i32x16 a, i32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline f32x16 as_f32(i32x16 a) { return {_mm512_castsi512_ps(a.v)}; }

/// [fold(a), fold(b)], where a vector's fold is lane i + lane i + 8.
inline __m512 fold_pair(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}
/// Four vectors a, b, c, d to four lanes each: lane i + i + 8, and then i + i + 4.
inline __m512 fold_four(f32x16 a, f32x16 b, f32x16 c, f32x16 d) {
  const __m512 ab = fold_pair(a.v, b.v), cd = fold_pair(c.v, d.v);
  return _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
}
/// Lane i is the sum of v[i]'s lanes, added in the order of `reduce`.
inline f32x16 reduce_each(const f32x16 (&v)[16]) {
  __m512 four[4];
  for (int j = 0; j < 4; j++) four[j] = fold_four(v[j], v[4 + j], v[8 + j], v[12 + j]);
  const __m512 a = _mm512_add_ps(_mm512_unpacklo_ps(four[0], four[1]), _mm512_unpackhi_ps(four[0], four[1]));
  const __m512 b = _mm512_add_ps(_mm512_unpacklo_ps(four[2], four[3]), _mm512_unpackhi_ps(four[2], four[3]));
  const __m512d low = _mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b));
  const __m512d high = _mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b));
  return {_mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high))};
}

/// The lower and the upper eight lanes added: lane i + lane i + 8.
inline __m256 fold(f32x16 a) {
  const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a.v), 1));
  return _mm256_add_ps(_mm512_castps512_ps256(a.v), high);
}
/// The lower and the upper eight lanes' maxima.
inline __m256 fold_maximum(f32x16 a) {
  const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a.v), 1));
  return _mm256_max_ps(_mm512_castps512_ps256(a.v), high);
}

#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

constexpr int kColumnBlock = 2;

struct f32x16 {
  __m256 lo, hi;
};
struct i32x16 {
  __m256i lo, hi;
};

inline f32x16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline f32x16 broadcast(float a) { return {_mm256_set1_ps(a), _mm256_set1_ps(a)}; }
inline f32x16 load(const float *p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float *p, f32x16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
inline f32x16 add(f32x16 a, f32x16 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
inline f32x16 multiply(f32x16 a, f32x16 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
inline f32x16 maximum(f32x16 a, f32x16 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
inline f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

inline f32x16 load_f16(const uint8_t *p) {
  const __m128i *half = reinterpret_cast<const __m128i *>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(half)), _mm256_cvtph_ps(_mm_loadu_si128(half + 1))};
}
inline i32x16 load_u8(const uint8_t *p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(p));
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}
inline i32x16 load_i8(const uint8_t *p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(p));
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
}
inline i32x16 load_i32(const uint8_t *p) {
  const __m256i *half = reinterpret_cast<const __m256i *>(p);
  return {_mm256_loadu_si256(half), _mm256_loadu_si256(half + 1)};
}
inline i32x16 broadcast_i32(int32_t a) { return {_mm256_set1_epi32(a), _mm256_set1_epi32(a)}; }
inline i32x16 lane_index() {
  return {_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15)};
}
inline i32x16 bit_and(i32x16 a, i32x16 b) { return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)}; }
inline i32x16 bit_or(i32x16 a, i32x16 b) { return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)}; }
inline i32x16 or_masked(i32x16 a, i32x16 b, i32x16 mask) { return bit_or(a, bit_and(b, mask)); }
template <int N> inline i32x16 shift_left(i32x16 a) { return {_mm256_slli_epi32(a.lo, N), _mm256_slli_epi32(a.hi, N)}; }
template <int N> inline i32x16 shift_right(i32x16 a) {
  return {_mm256_srli_epi32(a.lo, N), _mm256_srli_epi32(a.hi, N)};
}
inline i32x16 shift_right(i32x16 a, i32x16 by) {
  return {_mm256_srlv_epi32(a.lo, by.lo), _mm256_srlv_epi32(a.hi, by.hi)};
}
inline f32x16 to_f32(i32x16 a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
inline i32x16 round_to_i32(f32x16 a) { return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)}; }
inline i32x16 add_i32(i32x16 a, i32x16 b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
inline f32x16 as_f32(i32x16 a) { return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)}; }

inline __m256 fold(f32x16 a) { return _mm256_add_ps(a.lo, a.hi); }
inline __m256 fold_maximum(f32x16 a) { return _mm256_max_ps(a.lo, a.hi); }

#else

#define GSIC_PORTABLE 1
constexpr int kColumnBlock = 1;

typedef float f32_vector __attribute__((vector_size(64)));
typedef int32_t i32_vector __attribute__((vector_size(64)));
typedef uint32_t u32_vector __attribute__((vector_size(64)));
struct f32x16 {
  f32_vector v;
};
struct i32x16 {
  i32_vector v;
};

inline f32x16 zero() { return {f32_vector{}}; }
inline f32x16 broadcast(float a) { return {f32_vector{} + a}; }
inline f32x16 load(const float *p) {
  f32x16 a;
  memcpy(&a.v, p, sizeof a.v);
  return a;
}
inline void store(float *p, f32x16 a) { memcpy(p, &a.v, sizeof a.v); }
inline f32x16 add(f32x16 a, f32x16 b) { return {a.v + b.v}; }
inline f32x16 multiply(f32x16 a, f32x16 b) { return {a.v * b.v}; }
inline f32x16 maximum(f32x16 a, f32x16 b) {
  f32x16 c;
  for (int i = 0; i < kLanes; i++) c.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return c;
}
inline f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
#if defined(__FP_FAST_FMAF)
  f32x16 d;
  for (int i = 0; i < kLanes; i++) d.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
  return d;
#else
  return {a.v * b.v + c.v};
#endif
}

inline f32x16 load_f16(const uint8_t *p) {
  uint16_t half[kLanes];
  memcpy(half, p, sizeof half);
  f32x16 a;
  for (int i = 0; i < kLanes; i++) a.v[i] = f16_to_f32(half[i]);
  return a;
}
inline i32x16 load_u8(const uint8_t *p) {
  i32x16 a;
  for (int i = 0; i < kLanes; i++) a.v[i] = p[i];
  return a;
}
inline i32x16 load_i8(const uint8_t *p) {
  i32x16 a;
  for (int i = 0; i < kLanes; i++) a.v[i] = int8_t(p[i]);
  return a;
}
inline i32x16 load_i32(const uint8_t *p) {
  i32x16 a;
  memcpy(&a.v, p, sizeof a.v);
  return a;
}
inline i32x16 broadcast_i32(int32_t a) { return {i32_vector{} + a}; }
inline i32x16 lane_index() { return {i32_vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}; }
inline i32x16 bit_and(i32x16 a, i32x16 b) { return {a.v & b.v}; }
inline i32x16 bit_or(i32x16 a, i32x16 b) { return {a.v | b.v}; }
inline i32x16 or_masked(i32x16 a, i32x16 b, i32x16 mask) { return {a.v | (b.v & mask.v)}; }
template <int N> inline i32x16 shift_left(i32x16 a) { return {a.v << N}; }
template <int N> inline i32x16 shift_right(i32x16 a) { return {i32_vector(u32_vector(a.v) >> N)}; }
inline i32x16 shift_right(i32x16 a, i32x16 by) { return {i32_vector(u32_vector(a.v) >> u32_vector(by.v))}; }
inline f32x16 to_f32(i32x16 a) { return {__builtin_convertvector(a.v, f32_vector)}; }
inline i32x16 round_to_i32(f32x16 a) {
  i32x16 b;
  for (int i = 0; i < kLanes; i++) b.v[i] = int32_t(__builtin_rintf(a.v[i]));
  return b;
}
inline i32x16 add_i32(i32x16 a, i32x16 b) { return {a.v + b.v}; }
inline f32x16 as_f32(i32x16 a) {
  f32x16 b;
  memcpy(&b.v, &a.v, sizeof b.v);
  return b;
}

#endif

#if defined(GSIC_PORTABLE)

/// The sum of the sixteen lanes: halves are added until one lane is left.
inline float reduce(f32x16 a) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) a.v[i] += a.v[i + half];
  return a.v[0];
}
inline void reduce_four(const f32x16 *v, float *sums) {
  for (int i = 0; i < 4; i++) sums[i] = reduce(v[i]);
}
inline void prefetch(const uint8_t *) {}
inline float reduce_maximum(f32x16 a) {
  float best = a.v[0];
  for (int i = 1; i < kLanes; i++) best = a.v[i] > best ? a.v[i] : best;
  return best;
}
inline float load_f16_scalar(const uint8_t *p) {
  uint16_t half;
  memcpy(&half, p, 2);
  return f16_to_f32(half);
}

#else

/// The sixteen lanes to four: lane i + i + 8, and then i + i + 4.
inline __m128 fold_twice(f32x16 a) {
  const __m256 eight = fold(a);
  return _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
}
inline float reduce(f32x16 a) {
  __m128 four = fold_twice(a);
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
/// The sums of four vectors' lanes, each added in the order of `reduce`.
inline void reduce_four(const f32x16 *v, float *sums) {
  const __m128 a = fold_twice(v[0]), b = fold_twice(v[1]), c = fold_twice(v[2]), d = fold_twice(v[3]);
  const __m128 ab = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
  const __m128 cd = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
  _mm_storeu_ps(sums, _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab)));
}
/// Fetches the line of the cache that holds an address; any address may be given.
inline void prefetch(const uint8_t *p) { _mm_prefetch(reinterpret_cast<const char *>(p), _MM_HINT_T0); }
inline float reduce_maximum(f32x16 a) {
  const __m256 eight = fold_maximum(a);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}
inline float load_f16_scalar(const uint8_t *p) {
  uint16_t half;
  memcpy(&half, p, 2);
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
}

#endif

#if !defined(__AVX512F__)

inline f32x16 reduce_each(const f32x16 (&v)[16]) {
  float sums[kLanes];
  for (int i = 0; i < kLanes; i++) sums[i] = reduce(v[i]);
  return load(sums);
}

#endif

/// a * b + c, rounded once where the machine can do so at once.
inline float fma(float a, float b, float c) {
#if defined(__FMA__) || defined(__FP_FAST_FMAF)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

}  // namespace gsic

#endif
