// Between half-precision bits and f32, for machines without an instruction for it.
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

/// Rounds to the nearest, ties to even; |value| <= 65504.
inline uint16_t f32_to_f16(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude < 0x38800000u) {  // subnormal: 1/2 has its last bit where they have theirs, and adding it rounds
    float small;
    __builtin_memcpy(&small, &magnitude, 4);
    small += 0.5f;
    __builtin_memcpy(&bits, &small, 4);
    return uint16_t(sign | (bits - 0x3f000000u));
  }
  const uint32_t odd = magnitude >> 13 & 1u;
  return uint16_t(sign | (magnitude - 0x38000000u + 0xfffu + odd) >> 13);
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
