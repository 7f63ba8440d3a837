// Sixteen lanes in one register of AVX-512.
#ifndef GSIC_DIALECT_AVX512_H
#define GSIC_DIALECT_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#include "gsic/dialect/lanes.h"
#include "gsic/dialect/x86.h"

namespace gsic {

/// Columns that a tile of four rows multiplies at once, and a step of a block type: as many sums as the registers hold,
/// of a tile as compilers allot them. To unpack a step for more columns first gains nothing.
constexpr int kTileColumns = 5, kWrittenColumns = 0, kBlockColumns = 6, kPlainColumns = 0;

struct f32x16 {
  __m512 v;
};
struct i32x16 {
  __m512i v;
};

/// A vector is one register.
constexpr int kParts = 1, kPartLanes = kLanes;
using f32_part = f32x16;

inline f32x16 zero() { return {_mm512_setzero_ps()}; }
inline f32x16 broadcast(float a) { return {_mm512_set1_ps(a)}; }
inline f32x16 load(const float *p) { return {_mm512_loadu_ps(p)}; }
inline void store(float *p, f32x16 a) { _mm512_storeu_ps(p, a.v); }
inline f32_part load_part(const float *p) { return load(p); }
inline f32_part part_of(const f32x16 &a, int) { return a; }
inline void set_part(f32x16 &a, int, f32_part value) { a = value; }
inline f32x16 add(f32x16 a, f32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline f32x16 multiply(f32x16 a, f32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline f32x16 maximum(f32x16 a, f32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
/// a * b + c, rounded once.
inline f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }

inline f32x16 load_f16(const uint8_t *p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)))};
}
inline f32_part load_f16_part(const uint8_t *p) { return load_f16(p); }
inline void store_f16(uint8_t *p, f32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}
inline i32x16 load_u8(const uint8_t *p) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)))};
}
inline i32x16 load_i8(const uint8_t *p) {
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)))};
}
/// Numbers of FP8 E4M3, divided by 256: as f16 they have the same bits of exponent.
inline f32x16 load_e4m3(const uint8_t *p) {
  const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
  return {_mm512_cvtph_ps(_mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16(int16_t(0xbf80))))};
}
inline i32x16 load_i32(const uint8_t *p) { return {_mm512_loadu_si512(p)}; }
/// Of sixteen numbers those that the lower four bits of each lane name.
inline f32x16 look_up(const float *table, i32x16 index) {
  return {_mm512_permutexvar_ps(index.v, _mm512_loadu_ps(table))};
}
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
inline i32x16 multiply_i32(i32x16 a, i32x16 b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
inline void store_i32(uint8_t *p, i32x16 a) { _mm512_storeu_si512(p, a.v); }
inline f32x16 as_f32(i32x16 a) { return {_mm512_castsi512_ps(a.v)}; }

/// The lower halves of words, and the upper ones, as the upper halves of numbers.
inline void load_bf16_parts(const uint8_t *p, f32_part (&w)[2]) {
  const i32x16 words = load_i32(p);
  w[0] = as_f32(shift_left<16>(words));
  w[1] = as_f32(bit_and(words, broadcast_i32(int32_t(0xffff0000))));
}

/// Sixteen bytes to look up in.
struct ByteTable {
  __m512i v;
};
inline ByteTable load_table(const uint8_t *p) {
  return {_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)))};
}
/// The pairs of bf16 of four rows' block from 64 bytes of codes and 128 of lower bytes: see coded.h.
inline void load_coded(const uint8_t *block, ByteTable table, i32x16 (&rows)[4]) {
  const __m512i nibble = _mm512_set1_epi8(15), codes = _mm512_loadu_si512(block);
  const __m512i upper[2] = {
      _mm512_shuffle_epi8(table.v, _mm512_and_si512(codes, nibble)),
      _mm512_shuffle_epi8(table.v, _mm512_and_si512(_mm512_srli_epi16(codes, 4), nibble)),
  };
  for (int pair = 0; pair < 2; pair++) {
    const __m512i lower = _mm512_loadu_si512(block + 64 + 64 * pair);
    rows[2 * pair].v = _mm512_unpacklo_epi8(lower, upper[pair]);
    rows[2 * pair + 1].v = _mm512_unpackhi_epi8(lower, upper[pair]);
  }
}

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

/// The sum of the sixteen lanes: halves are added until one lane is left.
inline float reduce(f32x16 a) { return sum_of(fold(fold(a))); }
/// The sums of four vectors' lanes, each added in the order of `reduce`.
inline void reduce_four(const f32x16 *v, float *sums) {
  sums_of(fold(fold(v[0])), fold(fold(v[1])), fold(fold(v[2])), fold(fold(v[3])), sums);
}
inline float reduce_maximum(f32x16 a) { return maximum_of(fold_maximum(a)); }

#if defined(__AVX512VNNI__)

// An activation is n = 256 high + low, two numbers of 8 bits: two vpdpbusd.

/// Most columns that one tile multiplies at once, a power of two: as many sums as the registers hold.
constexpr int kDotColumns = 8;

struct Quad {
  int32_t high, low;
};
struct DotSum {
  __m512i high, low;
};

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

#endif

}  // namespace gsic

#endif
