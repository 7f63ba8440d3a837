// Scalar functions of the epilogues and of softmax, written without branches so that loops over them vectorise.
#ifndef GSIC_MATH_H
#define GSIC_MATH_H

#include "gsic/dialect/cpu.h"

namespace gsic {

/// e^x on sixteen lanes, within 2 ulp: x = n ln 2 + r, a degree-6 polynomial in r, times 2^n. Below -87 it is 2^-126.
inline f32x16 exponential(f32x16 x) {
  const f32x16 bounded = maximum(x, broadcast(-87.0f));
  const i32x16 n = round_to_i32(multiply(bounded, broadcast(1.44269504f)));
  const f32x16 whole = to_f32(n);
  f32x16 r = fma(whole, broadcast(-0.693359375f), bounded);  // ln 2 in two parts
  r = fma(whole, broadcast(2.12194440e-4f), r);
  f32x16 p = broadcast(1.0f / 720);
  p = fma(p, r, broadcast(1.0f / 120));
  p = fma(p, r, broadcast(1.0f / 24));
  p = fma(p, r, broadcast(1.0f / 6));
  p = fma(p, r, broadcast(0.5f));
  p = fma(p, r, broadcast(1.0f));
  p = fma(p, r, broadcast(1.0f));
  return multiply(p, as_f32(shift_left<23>(add_i32(n, broadcast_i32(127)))));
}

/// The same on one float. Above 88 it is 2^127.
inline float exponential(float x) {
  float bounded = x > -87.0f ? x : -87.0f;
  bounded = bounded < 88.0f ? bounded : 88.0f;
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
  memcpy(&power, &bits, 4);
  return p * power;
}

/// 1 / (1 + e^-x).
inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

inline float identity(float x) { return x; }
inline float relu(float x) { return x > 0.0f ? x : 0.0f; }
inline float silu(float x) { return x * sigmoid(x); }
/// x Phi(x).
inline float gelu(float x) { return 0.5f * x * (1.0f + __builtin_erff(x * 0.707106781f)); }
/// 0.5 x (1 + tanh(u)) with u = sqrt(2 / pi) (x + 0.044715 x^3); 0.5 (1 + tanh(u)) is sigmoid(2 u).
inline float gelu_tanh(float x) { return x * sigmoid(1.59576912f * (x + 0.044715f * x * x * x)); }

}  // namespace gsic

#endif
