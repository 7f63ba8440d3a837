// What AVX-512 and AVX2 do alike, once their sixteen lanes are folded to eight.
#ifndef GSIC_DIALECT_X86_H
#define GSIC_DIALECT_X86_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

namespace gsic {

/// Eight lanes to four: lane i + lane i + 4.
inline __m128 fold(__m256 eight) { return _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1)); }
inline float sum_of(__m128 four) {
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
/// The sums of four vectors' lanes, each added in the order of `sum_of`.
inline void sums_of(__m128 a, __m128 b, __m128 c, __m128 d, float *sums) {
  const __m128 ab = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
  const __m128 cd = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
  _mm_storeu_ps(sums, _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab)));
}
inline float maximum_of(__m256 eight) {
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

/// Fetches the line of the cache that holds an address; any address may be given.
inline void prefetch(const uint8_t *p) { _mm_prefetch(reinterpret_cast<const char *>(p), _MM_HINT_T0); }
inline float load_f16_scalar(const uint8_t *p) {
  uint16_t half;
  memcpy(&half, p, 2);
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
}
/// a * b + c, rounded once.
inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

}  // namespace gsic

#endif
