// Half-precision bits to f32, for machines without an instruction for it.
#ifndef GSIC_DIALECT_HALF_H
#define GSIC_DIALECT_HALF_H

#include <stdint.h>

namespace gsic {

inline float f16_to_f32(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000u) << 16;
  const uint32_t magnitude = uint32_t(half & 0x7fffu) << 13;
  uint32_t bits;
  if (magnitude >= 0x0f800000u) {  // infinity, NaN
    bits = magnitude | 0x7f800000u;
  } else {  // scaling by 2^112 moves the exponent, and makes subnormals normal
    float scaled;
    __builtin_memcpy(&scaled, &magnitude, 4);
    scaled *= 0x1p112f;
    __builtin_memcpy(&bits, &scaled, 4);
  }
  bits |= sign;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

/// Element k of bf16 pairs.
inline float bf16_at(const uint32_t *pairs, int k) {
  const uint32_t bits = k % 2 == 0 ? pairs[k / 2] << 16 : pairs[k / 2] & 0xffff0000u;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

}  // namespace gsic

#endif
