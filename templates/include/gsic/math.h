// Functions of the epilogues and of softmax on CPUs.
#ifndef GSIC_MATH_H
#define GSIC_MATH_H

#include "gsic/dialect/cpu.h"
#include "gsic/functions.h"

namespace gsic {

/// e^x on sixteen lanes, within 2 ulp: x = n ln 2 + r, a degree-6 polynomial in r, times 2^n. Below -87 it is 2^-126.
/// NaN stays.
inline f32x16 exponential(f32x16 x) {
  const f32x16 bounded = maximum(broadcast(-87.0f), x);
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

}  // namespace gsic

#endif
