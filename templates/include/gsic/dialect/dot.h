// Integer dot products of the CPU dialect: sixteen rows of unsigned bytes with signed activations of 16 bits.
//
// A register holds four consecutive elements of a row in each of its sixteen lanes. The four activations that they
// meet are a Quad, in the form that the target's instruction reads:
//   AVX512-VNNI  n = 256 high + low, two numbers of 8 bits: two vpdpbusd
//   AVX2         elements 0 and 2, and 1 and 3, as 16 bits: two vpmaddwd (vpmaddubsw would saturate)
//   portable     16 bits
// All are exact in 32 bits, so that every target has the same integers.
#ifndef GSIC_DIALECT_DOT_H
#define GSIC_DIALECT_DOT_H

#include "gsic/dialect/cpu.h"

namespace gsic {

/// Largest activation: 256 high + low has 8 bits each up to 32639, and rounding may add one half.
constexpr int kLargestActivation = 32512;

#if defined(__AVX512F__)

#if !defined(__AVX512VNNI__)
#error "quantised kernels take AVX512-VNNI; a machine without it takes the target cpu-avx2"
#endif

/// Most columns that one tile multiplies at once, a power of two: as many sums as the registers hold.
constexpr int kDotColumns = 8;

struct Quad {
  int32_t high, low;
};
struct DotSum {
  __m512i high, low;
};

inline i32x16 multiply_i32(i32x16 a, i32x16 b) { return {_mm512_mullo_epi32(a.v, b.v)}; }

/// Four quads of sixteen activations.
inline void store_quads(Quad *quads, i32x16 n) {
  const __m512i rounded = _mm512_srai_epi32(_mm512_add_epi32(n.v, _mm512_set1_epi32(128)), 8);
  const __m128i high = _mm512_cvtepi32_epi8(rounded), low = _mm512_cvtepi32_epi8(n.v);
  _mm_storeu_si128(reinterpret_cast<__m128i *>(quads), _mm_unpacklo_epi32(high, low));
  _mm_storeu_si128(reinterpret_cast<__m128i *>(quads + 2), _mm_unpackhi_epi32(high, low));
}
inline DotSum dot_start(i32x16 value) { return {_mm512_setzero_si512(), value.v}; }
inline void dot(DotSum &sum, i32x16 q, const Quad &x) {
  sum.high = _mm512_dpbusd_epi32(sum.high, q.v, _mm512_set1_epi32(x.high));
  sum.low = _mm512_dpbusd_epi32(sum.low, q.v, _mm512_set1_epi32(x.low));
}
inline i32x16 dot_total(const DotSum &sum) { return {_mm512_add_epi32(_mm512_slli_epi32(sum.high, 8), sum.low)}; }

#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

constexpr int kDotColumns = 4;

struct Quad {
  int32_t even, odd;
};
struct DotSum {
  i32x16 v;
};

inline i32x16 multiply_i32(i32x16 a, i32x16 b) {
  return {_mm256_mullo_epi32(a.lo, b.lo), _mm256_mullo_epi32(a.hi, b.hi)};
}

inline void store_quads(Quad *quads, i32x16 n) {
  const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15,  //
                                         0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
  const __m256i words = _mm256_shuffle_epi8(_mm256_packs_epi32(n.lo, n.hi), order);
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(quads), _mm256_permute4x64_epi64(words, 0xd8));
}
inline DotSum dot_start(i32x16 value) { return {value}; }
inline __m256i dot_half(__m256i sum, __m256i q, __m256i even, __m256i odd) {
  const __m256i a = _mm256_madd_epi16(_mm256_and_si256(q, _mm256_set1_epi16(255)), even);
  return _mm256_add_epi32(_mm256_add_epi32(sum, a), _mm256_madd_epi16(_mm256_srli_epi16(q, 8), odd));
}
inline void dot(DotSum &sum, i32x16 q, const Quad &x) {
  const __m256i even = _mm256_set1_epi32(x.even), odd = _mm256_set1_epi32(x.odd);
  sum.v = {dot_half(sum.v.lo, q.lo, even, odd), dot_half(sum.v.hi, q.hi, even, odd)};
}
inline i32x16 dot_total(const DotSum &sum) { return sum.v; }

#else

constexpr int kDotColumns = 1;

struct Quad {
  int16_t x[4];
};
struct DotSum {
  i32x16 v;
};

inline i32x16 multiply_i32(i32x16 a, i32x16 b) { return {a.v * b.v}; }

inline void store_quads(Quad *quads, i32x16 n) {
  for (int i = 0; i < kLanes; i++) quads[i / 4].x[i % 4] = int16_t(n.v[i]);
}
inline DotSum dot_start(i32x16 value) { return {value}; }
inline void dot(DotSum &sum, i32x16 q, const Quad &x) {
  // Byte i of a lane is element i: the lowest byte comes first, as on every machine that the portable form runs on.
  for (int i = 0; i < 4; i++) sum.v.v += ((q.v >> (8 * i)) & 255) * int32_t(x.x[i]);
}
inline i32x16 dot_total(const DotSum &sum) { return sum.v; }

#endif

}  // namespace gsic

#endif
