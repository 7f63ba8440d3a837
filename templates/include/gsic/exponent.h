// Powers of two that bring activations into a range: scaling by them is exact.
#ifndef GSIC_EXPONENT_H
#define GSIC_EXPONENT_H

#include <stdint.h>
#include <string.h>

namespace gsic {

/// Elements of a row, or of a column of activations, that lie together.
constexpr int kBlock = 32;

/// 2^exponent for -126 <= exponent <= 127.
inline float power_of_two(int exponent) {
  const uint32_t bits = uint32_t(exponent + 127) << 23;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

/// The bits of the largest |x| of a block; those of numbers that are not finite are above all others.
inline uint32_t largest_bits(const float *x) {
  uint32_t largest = 0;
  for (int i = 0; i < kBlock; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, 4);
    bits &= 0x7fffffff;
    largest = largest > bits ? largest : bits;
  }
  return largest;
}

/// e, such that 2^(e - 141) is a block's scale, from the bits of its largest |x|: -64 for a block of zeros, to 255.
/// It is x's biased exponent, or the next one where the mantissa is above 1.984, since 1.984 * 2^14 = 32512.
inline int block_exponent(uint32_t bits) {
  int less = 0;
  if (bits < 0x800000) {  // denormal numbers have their exponent when multiplied by 2^64
    float value;
    memcpy(&value, &bits, 4);
    value *= power_of_two(64);
    memcpy(&bits, &value, 4);
    less = 64;
  }
  return int((bits + 0x20000) >> 23) - less;
}

}  // namespace gsic

#endif
