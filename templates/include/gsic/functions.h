// Scalar functions of the epilogues and of softmax, written without branches so that loops over them vectorise, and
// without a library, so that GPUs have them too. A dialect's `fma(float, float, float)` must be there before.
#ifndef GSIC_FUNCTIONS_H
#define GSIC_FUNCTIONS_H

#include <stdint.h>

namespace gsic {

/// e^x within 2 ulp: x = n ln 2 + r, a degree-6 polynomial in r, times 2^n. Below -87 it is 2^-126, above 88 2^127. NaN
/// stays.
inline float exponential(float x) {
  float bounded = x < -87.0f ? -87.0f : x;
  bounded = bounded > 88.0f ? 88.0f : bounded;
  const float shifted = bounded * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the sum is rounded to an integer
  const float whole = shifted - 12582912.0f;
  float r = fma(whole, -0.693359375f, bounded);
  r = fma(whole, 2.12194440e-4f, r);
  float p = 1.0f / 720;
  p = fma(p, r, 1.0f / 120);
  p = fma(p, r, 1.0f / 24);
  p = fma(p, r, 1.0f / 6);
  p = fma(p, r, 0.5f);
  p = fma(p, r, 1.0f);
  p = fma(p, r, 1.0f);
  const int32_t bits = (int32_t(whole) + 127) << 23;
  float power;
  __builtin_memcpy(&power, &bits, 4);
  return p * power;
}

/// 1 / (1 + e^-x).
inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

/// erf(x) within 2e-7: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
inline float error_function(float x) {
  const float size = x < 0.0f ? -x : x;
  const float t = 1.0f / fma(0.3275911f, size, 1.0f);
  float p = 1.061405429f;
  p = fma(p, t, -1.453152027f);
  p = fma(p, t, 1.421413741f);
  p = fma(p, t, -0.284496736f);
  p = fma(p, t, 0.254829592f);
  const float result = 1.0f - p * t * exponential(-size * size);
  return x < 0.0f ? -result : result;
}

inline float identity(float x) { return x; }
inline float relu(float x) { return x > 0.0f ? x : 0.0f; }
inline float silu(float x) { return x * sigmoid(x); }
/// x Phi(x).
inline float gelu(float x) { return 0.5f * x * (1.0f + error_function(x * 0.707106781f)); }
/// 0.5 x (1 + tanh(u)) with u = sqrt(2 / pi) (x + 0.044715 x^3); 0.5 (1 + tanh(u)) is sigmoid(2 u).
inline float gelu_tanh(float x) { return x * sigmoid(1.59576912f * (x + 0.044715f * x * x * x)); }

}  // namespace gsic

#endif
