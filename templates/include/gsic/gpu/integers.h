// Integers of quantised checkpoints on GPUs: weight types as those of weights.h.
#ifndef GSIC_GPU_INTEGERS_H
#define GSIC_GPU_INTEGERS_H

#include "gsic/gpu/weights.h"

namespace gsic {

/// A word with d, an f32 of 10 bits of fraction, above 13 bits of z.
inline float scale_of(uint32_t word) { return bits_as<float>(word & ~8191u); }
inline float zero_of(uint32_t word) { return float(word & 8191u); }

/// w = d (q - z): nibbles, a word of d and z.
struct i4 : Nibbles {
  static constexpr Plane planes[] = {{16, 1}, {4, 1}};
  static Raw fetch(const UnitAddress &unit, int) {
    const uint32_t word = word_at(unit.plane[1]);
    return {sixteen_at(unit.plane[0]), scale_of(word), -zero_of(word) * scale_of(word)};
  }
};

/// The same with one word for four units.
struct i4_128 : Nibbles {
  static constexpr Plane planes[] = {{16, 1}, {4, 4}};
  static Raw fetch(const UnitAddress &unit, int) {
    const uint32_t word = load(reinterpret_cast<const uint32_t *>(unit.plane[1]));
    return {sixteen_at(unit.plane[0]), scale_of(word), -zero_of(word) * scale_of(word)};
  }
};

/// w = d (q + 128 - z): two planes of i8, a word of d and z.
struct i8 {
  static constexpr int elements = 32;
  static constexpr Plane planes[] = {{16, 1}, {16, 1}, {4, 1}};
  struct Raw {
    u32x4 quants[2];
    float d, m;
  };
  static Raw fetch(const UnitAddress &unit, int) {
    const uint32_t word = word_at(unit.plane[2]);
    const float d = scale_of(word);
    return {{sixteen_at(unit.plane[0]), sixteen_at(unit.plane[1])}, d, (128.0f - zero_of(word)) * d};
  }
  static int quant(const Raw &raw, int i) { return int8_t(raw.quants[i / 16].v[i % 16 / 4] >> (8 * (i % 4))); }
  static float scale(const Raw &raw, int) { return raw.d; }
  static float minimum(const Raw &raw) { return raw.m; }
  static constexpr bool two_scales = false;
  static uint32_t pair(const Raw &raw, int p) {
    return cut_pair(float(quant(raw, pair_element(p))), float(quant(raw, pair_element(p) + 2)));
  }
  static float pair_minimum(const Raw &raw) { return raw.m; }
};

}  // namespace gsic

#endif
