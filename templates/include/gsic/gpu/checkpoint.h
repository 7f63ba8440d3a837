// What quantised checkpoints have, on GPUs: weight types as those of weights.h.
#ifndef GSIC_GPU_CHECKPOINT_H
#define GSIC_GPU_CHECKPOINT_H

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

/// Bytes 0 and 2 of a word of E4M3, or bytes 1 and 3, as f16 divided by 256, which have the same bits of exponent.
inline uint32_t e4m3_halves(uint32_t bytes, int odd) {
  return odd != 0 ? and_or(bytes >> 1, 0x3f803f80u, bytes & 0x80008000u)
                  : and_or(bytes << 7, 0x3f803f80u, bytes << 8 & 0x80008000u);
}

/// FP8 E4M3: two planes of bytes. No element is NaN.
struct E4m3 {
  static constexpr int elements = 32;
  struct Raw {
    u32x4 quants[2];
    float d;
  };
  /// Element i divided by 256.
  static float quant(const Raw &raw, int i) {
    return f16_to_f32(uint16_t(e4m3_halves(raw.quants[i / 16].v[i % 16 / 4], i % 2) >> (i % 4 / 2 * 16)));
  }
  static float scale(const Raw &raw, int) { return 256.0f * raw.d; }
  static float minimum(const Raw &) { return 0; }
  static constexpr bool two_scales = false;
  static uint32_t pair(const Raw &raw, int p) {
    const uint32_t halves = e4m3_halves(raw.quants[p / 8].v[p / 2 % 4], p % 2);
    return cut_pair(f16_to_f32(uint16_t(halves)), f16_to_f32(uint16_t(halves >> 16)));
  }
  static float pair_minimum(const Raw &) { return 0; }
};

/// w = d q: a float d.
struct f8 : E4m3 {
  static constexpr Plane planes[] = {{16, 1}, {16, 1}, {4, 1}};
  static Raw fetch(const UnitAddress &unit, int) {
    return {{sixteen_at(unit.plane[0]), sixteen_at(unit.plane[1])}, bits_as<float>(word_at(unit.plane[2]))};
  }
};

/// The same with one d for four units.
struct f8_128 : E4m3 {
  static constexpr Plane planes[] = {{16, 1}, {16, 1}, {4, 4}};
  static Raw fetch(const UnitAddress &unit, int) {
    const float d = load(reinterpret_cast<const float *>(unit.plane[2]));
    return {{sixteen_at(unit.plane[0]), sixteen_at(unit.plane[1])}, d};
  }
};

}  // namespace gsic

#endif
