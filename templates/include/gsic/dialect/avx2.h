// Sixteen lanes in two registers of AVX2, with its fused multiply-add and conversions of f16.
#ifndef GSIC_DIALECT_AVX2_H
#define GSIC_DIALECT_AVX2_H

#include <immintrin.h>
#include <stdint.h>

#include "gsic/dialect/lanes.h"
#include "gsic/dialect/x86.h"

namespace gsic {

/// Columns that a step of a block type multiplies at once, and where there are more, once it is unpacked.
constexpr int kBlockColumns = 2, kPlainColumns = 6;
/// Columns that a tile of four rows multiplies at once: with three, compilers find no room for twelve sums, so that
/// loop is written as machine code (avx2_tiles.h).
constexpr int kTileColumns = 3, kWrittenColumns = 3;

struct f32x16 {
  __m256 lo, hi;
};
/// One register of a vector.
constexpr int kParts = 2, kPartLanes = 8;
struct f32_part {
  __m256 v;
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

inline f32_part load_part(const float *p) { return {_mm256_loadu_ps(p)}; }
inline f32_part part_of(const f32x16 &a, int part) { return {part == 0 ? a.lo : a.hi}; }
inline void set_part(f32x16 &a, int part, f32_part value) { (part == 0 ? a.lo : a.hi) = value.v; }
inline f32_part load_f16_part(const uint8_t *p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)))};
}
/// The lower halves of words, and the upper ones, as the upper halves of numbers.
inline void load_bf16_parts(const uint8_t *p, f32_part (&w)[2]) {
  const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p));
  w[0].v = _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
  w[1].v = _mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(int32_t(0xffff0000))));
}
inline f32_part fma(f32_part a, f32_part b, f32_part c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }

inline f32x16 load_f16(const uint8_t *p) {
  const __m128i *half = reinterpret_cast<const __m128i *>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(half)), _mm256_cvtph_ps(_mm_loadu_si128(half + 1))};
}
inline void store_f16(uint8_t *p, f32x16 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i *>(p), _mm256_cvtps_ph(a.lo, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(reinterpret_cast<__m128i *>(p + 16), _mm256_cvtps_ph(a.hi, _MM_FROUND_TO_NEAREST_INT));
}
inline i32x16 load_u8(const uint8_t *p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(p));
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}
inline i32x16 load_i8(const uint8_t *p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(p));
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
}
/// Numbers of FP8 E4M3, divided by 256: as f16 they have the same bits of exponent.
inline f32x16 load_e4m3(const uint8_t *p) {
  const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
  const __m256i half = _mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16(int16_t(0xbf80)));
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(half)), _mm256_cvtph_ps(_mm256_extracti128_si256(half, 1))};
}
inline i32x16 load_i32(const uint8_t *p) {
  const __m256i *half = reinterpret_cast<const __m256i *>(p);
  return {_mm256_loadu_si256(half), _mm256_loadu_si256(half + 1)};
}
/// Of eight numbers, or where bit 3 is set of eight others, those that the lower three bits of each lane name.
inline __m256 look_up(__m256 low, __m256 high, __m256i index) {
  const __m256 first = _mm256_permutevar8x32_ps(low, index), second = _mm256_permutevar8x32_ps(high, index);
  return _mm256_blendv_ps(first, second, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
}
/// Of sixteen numbers those that the lower four bits of each lane name.
inline f32x16 look_up(const float *table, i32x16 index) {
  const __m256 low = _mm256_loadu_ps(table), high = _mm256_loadu_ps(table + 8);
  return {look_up(low, high, index.lo), look_up(low, high, index.hi)};
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
inline i32x16 multiply_i32(i32x16 a, i32x16 b) {
  return {_mm256_mullo_epi32(a.lo, b.lo), _mm256_mullo_epi32(a.hi, b.hi)};
}
inline void store_i32(uint8_t *p, i32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), a.lo);
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(p) + 1, a.hi);
}
inline f32x16 as_f32(i32x16 a) { return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)}; }

/// Sixteen bytes to look up in.
struct ByteTable {
  __m256i v;
};
inline ByteTable load_table(const uint8_t *p) {
  return {_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)))};
}
/// Eight of the sixteen lanes, from 32 bytes of each run.
inline void load_coded_half(const uint8_t *block, ByteTable table, __m256i (&rows)[4]) {
  const __m256i *const runs = reinterpret_cast<const __m256i *>(block);
  const __m256i nibble = _mm256_set1_epi8(15), codes = _mm256_loadu_si256(runs);
  const __m256i upper[2] = {
      _mm256_shuffle_epi8(table.v, _mm256_and_si256(codes, nibble)),
      _mm256_shuffle_epi8(table.v, _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble)),
  };
  for (int pair = 0; pair < 2; pair++) {
    const __m256i lower = _mm256_loadu_si256(runs + 2 + 2 * pair);
    rows[2 * pair] = _mm256_unpacklo_epi8(lower, upper[pair]);
    rows[2 * pair + 1] = _mm256_unpackhi_epi8(lower, upper[pair]);
  }
}
/// The pairs of bf16 of four rows' block from 64 bytes of codes and 128 of lower bytes: see coded.h.
inline void load_coded(const uint8_t *block, ByteTable table, i32x16 (&rows)[4]) {
  __m256i lo[4], hi[4];
  load_coded_half(block, table, lo);
  load_coded_half(block + 32, table, hi);
  for (int row = 0; row < 4; row++) rows[row] = {lo[row], hi[row]};
}

inline __m256 fold(f32x16 a) { return _mm256_add_ps(a.lo, a.hi); }
inline __m256 fold_maximum(f32x16 a) { return _mm256_max_ps(a.lo, a.hi); }

/// The sum of the sixteen lanes: halves are added until one lane is left.
inline float reduce(f32x16 a) { return sum_of(fold(fold(a))); }
/// The sums of four vectors' lanes, each added in the order of `reduce`.
inline void reduce_four(const f32x16 *v, float *sums) {
  sums_of(fold(fold(v[0])), fold(fold(v[1])), fold(fold(v[2])), fold(fold(v[3])), sums);
}
inline float reduce_maximum(f32x16 a) { return maximum_of(fold_maximum(a)); }
/// Lane i is the sum of v[i]'s lanes.
inline f32x16 reduce_each(const f32x16 (&v)[16]) {
  float sums[kLanes];
  for (int i = 0; i < kLanes; i++) sums[i] = reduce(v[i]);
  return load(sums);
}

// Activations are elements 0 and 2, and 1 and 3, as 16 bits: two vpmaddwd (vpmaddubsw would saturate).

constexpr int kDotColumns = 4;

struct Quad {
  int32_t even, odd;
};
struct DotSum {
  i32x16 v;
};

inline void store_quads(Quad *quads, i32x16 n) {
  const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15,  //
                                         0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
  const __m256i words = _mm256_shuffle_epi8(_mm256_packs_epi32(n.lo, n.hi), order);
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(quads), _mm256_permute4x64_epi64(words, 0xd8));
}
inline DotSum dot_start(i32x16 value) { return {value}; }
inline __m256i dot_half(__m256i sum, __m256i q, __m256i even, __m256i odd) {
  const __m256i a = _mm256_madd_epi16(_mm256_and_si256(q, _mm256_set1_epi16(255)), even);
  sum = _mm256_add_epi32(sum, _mm256_add_epi32(a, _mm256_madd_epi16(_mm256_srli_epi16(q, 8), odd)));
  // One product after another: in an order of its own, the compiler keeps so many that they do not fit the registers.
  __asm__("" : "+x"(sum));
  return sum;
}
inline void dot(DotSum &sum, i32x16 q, const Quad &x) {
  const __m256i even = _mm256_set1_epi32(x.even), odd = _mm256_set1_epi32(x.odd);
  sum.v = {dot_half(sum.v.lo, q.lo, even, odd), dot_half(sum.v.hi, q.hi, even, odd)};
}
inline i32x16 dot_total(const DotSum &sum) { return sum.v; }

}  // namespace gsic

#include "gsic/dialect/avx2_tiles.h"

#endif
