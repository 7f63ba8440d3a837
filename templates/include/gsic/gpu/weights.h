// Weight types on GPUs. A unit is the run of a row's elements that one lane multiplies at a time; its bytes lie in
// planes, so that a wave's loads are contiguous: plane p of a tile of four rows holds, unit by unit, the four rows'
// p-th part. compiler/layout/planes.ts writes the same layout.
//
// A type has `elements` of a unit, `planes` (bytes, and units that share them), `Raw` (a unit in registers),
//   fetch(unit, index)           loads the row's unit `index`
// and either, for floats,
//   decode(raw, group, w)        elements 4 group .. 4 group + 3 as f32
// or, for blocks of 32 integers q with w = scale q + minimum,
//   quant(raw, i)                at most 8 bits
//   scale(raw, half)             of elements 0 to 15 and 16 to 31
//   minimum(raw)
//   two_scales                   whether those of the halves differ
//   pair(raw, p)                 for matrix cores: two elements plus `bias` as bf16, see pair_element
//   pair_minimum(raw)            minimum(raw) less the bias times the scale; where scales differ, `zero`: what is added
//                                to the integers of pairs
// or, for blocks of numbers that no bf16 holds,
//   pair<part>(raw, p)           of `pair_parts` numbers whose sums are the elements, without a bias
#ifndef GSIC_GPU_WEIGHTS_H
#define GSIC_GPU_WEIGHTS_H

#include "gsic/gpu/pairs.h"

namespace gsic {

/// One plane of a type: `bytes` for every run of `units` units of a row.
struct Plane {
  int bytes, units;
};

/// A row's part of a unit in each plane.
struct UnitAddress {
  const uint8_t *plane[4];
};

inline u32x4 sixteen_at(const uint8_t *p) { return load_once(reinterpret_cast<const u32x4 *>(p)); }
inline uint32_t word_at(const uint8_t *p) { return load_once(reinterpret_cast<const uint32_t *>(p)); }
inline uint16_t half_word_at(const uint8_t *p) { return load(reinterpret_cast<const uint16_t *>(p)); }
inline float half_at(const uint8_t *p) { return f16_to_f32(half_word_at(p)); }

struct f32 {
  static constexpr int elements = 4;
  static constexpr Plane planes[] = {{16, 1}};
  using Raw = u32x4;
  static Raw fetch(const UnitAddress &unit, int) { return sixteen_at(unit.plane[0]); }
  static void decode(const Raw &raw, int, float (&w)[4]) {
    for (int i = 0; i < 4; i++) w[i] = bits_as<float>(raw.v[i]);
  }
};

struct bf16 {
  static constexpr int elements = 8;
  static constexpr Plane planes[] = {{16, 1}};
  using Raw = u32x4;
  static Raw fetch(const UnitAddress &unit, int) { return sixteen_at(unit.plane[0]); }
  static void decode(const Raw &raw, int group, float (&w)[4]) {
    for (int i = 0; i < 2; i++) {
      w[2 * i] = bits_as<float>(raw.v[2 * group + i] << 16);
      w[2 * i + 1] = bits_as<float>(raw.v[2 * group + i] & 0xffff0000u);
    }
  }
};

struct f16 {
  static constexpr int elements = 8;
  static constexpr Plane planes[] = {{16, 1}};
  using Raw = u32x4;
  static Raw fetch(const UnitAddress &unit, int) { return sixteen_at(unit.plane[0]); }
  static void decode(const Raw &raw, int group, float (&w)[4]) {
    for (int i = 0; i < 2; i++) {
      w[2 * i] = f16_to_f32(uint16_t(raw.v[2 * group + i]));
      w[2 * i + 1] = f16_to_f32(uint16_t(raw.v[2 * group + i] >> 16));
    }
  }
};

/// w = d q: two planes of i8, f16 d.
struct q8_0 {
  static constexpr int elements = 32;
  static constexpr Plane planes[] = {{16, 1}, {16, 1}, {2, 1}};
  struct Raw {
    u32x4 quants[2];
    float d;
  };
  static Raw fetch(const UnitAddress &unit, int) {
    return {{sixteen_at(unit.plane[0]), sixteen_at(unit.plane[1])}, half_at(unit.plane[2])};
  }
  static int quant(const Raw &raw, int i) { return int8_t(raw.quants[i / 16].v[i % 16 / 4] >> (8 * (i % 4))); }
  static float scale(const Raw &raw, int) { return raw.d; }
  static float minimum(const Raw &) { return 0; }
  static constexpr bool two_scales = false;
  static uint32_t pair(const Raw &raw, int p) {
    return cut_pair(float(quant(raw, pair_element(p))), float(quant(raw, pair_element(p) + 2)));
  }
  static float pair_minimum(const Raw &) { return 0; }
};

/// Types of four bits: d q + m.
struct Nibbles {
  struct Raw {
    u32x4 quants;
    float d, m;
  };
  static constexpr int elements = 32;
  static int quant(const Raw &raw, int i) { return nibble(raw.quants, i); }
  static float scale(const Raw &raw, int) { return raw.d; }
  static float minimum(const Raw &raw) { return raw.m; }
  static constexpr bool two_scales = false;
  static uint32_t pair(const Raw &raw, int p) { return nibble_pair(raw.quants, p); }
  static float pair_minimum(const Raw &raw) { return fma(-float(kPairBias), raw.d, raw.m); }
};
/// Types of four bits and a fifth.
struct FiveBits {
  struct Raw {
    u32x4 quants;
    uint32_t fifth;
    float d, m;
  };
  static constexpr int elements = 32;
  static int quant(const Raw &raw, int i) { return nibble(raw.quants, i) | fifth_bit(raw.fifth, i); }
  static float scale(const Raw &raw, int) { return raw.d; }
  static float minimum(const Raw &raw) { return raw.m; }
  static constexpr bool two_scales = false;
  static uint32_t pair(const Raw &raw, int p) { return five_bit_pair(raw.quants, raw.fifth, p); }
  static float pair_minimum(const Raw &raw) { return fma(-float(kPairBias), raw.d, raw.m); }
};

/// f16 d in the low half of a word, f16 m in the high one.
inline float low_half(uint32_t pair) { return f16_to_f32(uint16_t(pair)); }
inline float high_half(uint32_t pair) { return f16_to_f32(uint16_t(pair >> 16)); }

/// w = d (q - 8): nibbles, f16 d.
struct q4_0 : Nibbles {
  static constexpr Plane planes[] = {{16, 1}, {2, 1}};
  static Raw fetch(const UnitAddress &unit, int) {
    const float d = half_at(unit.plane[1]);
    return {sixteen_at(unit.plane[0]), d, -8.0f * d};
  }
};

/// w = d q + m: nibbles, f16 d and m.
struct q4_1 : Nibbles {
  static constexpr Plane planes[] = {{16, 1}, {4, 1}};
  static Raw fetch(const UnitAddress &unit, int) {
    const uint32_t scale = word_at(unit.plane[1]);
    return {sixteen_at(unit.plane[0]), low_half(scale), high_half(scale)};
  }
};

/// w = d (q - 16): nibbles, fifth bits, f16 d.
struct q5_0 : FiveBits {
  static constexpr Plane planes[] = {{16, 1}, {4, 1}, {2, 1}};
  static Raw fetch(const UnitAddress &unit, int) {
    const float d = half_at(unit.plane[2]);
    return {sixteen_at(unit.plane[0]), word_at(unit.plane[1]), d, -16.0f * d};
  }
};

/// w = d q + m: nibbles, fifth bits, f16 d and m.
struct q5_1 : FiveBits {
  static constexpr Plane planes[] = {{16, 1}, {4, 1}, {4, 1}};
  static Raw fetch(const UnitAddress &unit, int) {
    const uint32_t scale = word_at(unit.plane[2]);
    return {sixteen_at(unit.plane[0]), word_at(unit.plane[1]), low_half(scale), high_half(scale)};
  }
};

/// The header of a K block, f16 d and m and twelve bytes of six-bit factors of both, and the unit, 0 to 7, that it is
/// for. It is taken apart where the unit is multiplied: a `fetch` that waits for it keeps other loads from going out.
struct KHeader {
  u32x4 words;
  int unit;

  static KHeader fetch(const uint8_t *p, int index) { return {load(reinterpret_cast<const u32x4 *>(p)), index % 8}; }
  float scale() const { return low_half(words.v[0]) * factor(words.v[1], words.v[3]); }
  float minimum() const { return -high_half(words.v[0]) * factor(words.v[2], words.v[3] >> 4); }

 private:
  /// Byte `unit` % 4 of both: of units 0 to 3 the low six bits of `own`, of 4 to 7 its high two above four of `others`.
  float factor(uint32_t own, uint32_t others) const {
    const int shift = 8 * (unit % 4);
    const uint32_t low = own >> shift & 63u, high = (others >> shift & 15u) | (own >> shift >> 6 & 3u) << 4;
    return float(unit < 4 ? low : high);
  }
};

/// w = d s q - dmin m in groups of 32: nibbles, one header for eight units.
struct q4_k {
  static constexpr int elements = 32;
  static constexpr Plane planes[] = {{16, 1}, {16, 8}};
  struct Raw {
    u32x4 quants;
    KHeader header;
  };
  static Raw fetch(const UnitAddress &unit, int index) {
    return {sixteen_at(unit.plane[0]), KHeader::fetch(unit.plane[1], index)};
  }
  static int quant(const Raw &raw, int i) { return nibble(raw.quants, i); }
  static float scale(const Raw &raw, int) { return raw.header.scale(); }
  static float minimum(const Raw &raw) { return raw.header.minimum(); }
  static constexpr bool two_scales = false;
  static uint32_t pair(const Raw &raw, int p) { return nibble_pair(raw.quants, p); }
  static float pair_minimum(const Raw &raw) { return fma(-float(kPairBias), raw.header.scale(), minimum(raw)); }
};

/// The same with fifth bits.
struct q5_k {
  static constexpr int elements = 32;
  static constexpr Plane planes[] = {{16, 1}, {4, 1}, {16, 8}};
  struct Raw {
    u32x4 quants;
    uint32_t fifth;
    KHeader header;
  };
  static Raw fetch(const UnitAddress &unit, int index) {
    return {sixteen_at(unit.plane[0]), word_at(unit.plane[1]), KHeader::fetch(unit.plane[2], index)};
  }
  static int quant(const Raw &raw, int i) { return nibble(raw.quants, i) | fifth_bit(raw.fifth, i); }
  static float scale(const Raw &raw, int) { return raw.header.scale(); }
  static float minimum(const Raw &raw) { return raw.header.minimum(); }
  static constexpr bool two_scales = false;
  static uint32_t pair(const Raw &raw, int p) { return five_bit_pair(raw.quants, raw.fifth, p); }
  static float pair_minimum(const Raw &raw) { return fma(-float(kPairBias), raw.header.scale(), minimum(raw)); }
};

/// w = d s (q - 32) in groups of 16: nibbles, two high bits each, two i8 scales, one f16 d for eight units.
struct q6_k {
  static constexpr int elements = 32;
  static constexpr Plane planes[] = {{16, 1}, {8, 1}, {2, 1}, {2, 8}};
  struct Raw {
    u32x4 quants;
    u32x2 high;
    float first, second;
  };
  static Raw fetch(const UnitAddress &unit, int) {
    const uint16_t scales = half_word_at(unit.plane[2]);
    const float d = half_at(unit.plane[3]);
    const u32x2 high = load_once(reinterpret_cast<const u32x2 *>(unit.plane[1]));
    return {sixteen_at(unit.plane[0]), high, d * float(int8_t(scales)), d * float(int8_t(scales >> 8))};
  }
  static int quant(const Raw &raw, int i) {
    const int p = i / 4 * 2 + i % 2;
    return (nibble(raw.quants, i) | int(raw.high.v[p / 8] >> (2 * (p % 8) + i % 4 / 2 * 16) & 3u) << 4) - 32;
  }
  static float scale(const Raw &raw, int half) { return half == 0 ? raw.first : raw.second; }
  static float minimum(const Raw &) { return 0; }
  static constexpr bool two_scales = true;
  /// What is added to the stored integers.
  static constexpr int zero = -32;
  static uint32_t pair(const Raw &raw, int p) {
    return and_or(shifted(raw.high.v[p / 8], 2 * (p % 8) - 4), 0x00300030u, nibble_pair(raw.quants, p));
  }
};

/// A type whose columns lie in an order of their own: behind the tiles is the input of each.
template <class W> struct ordered : W {};
template <class W> constexpr bool is_ordered = false;
template <class W> constexpr bool is_ordered<ordered<W>> = true;

/// Whether a type's units are blocks of integers.
template <class W> constexpr bool is_block = W::elements == 32;

/// bf16 numbers of an element of a block.
template <class W> constexpr int pair_parts = 1;
template <class W> constexpr int pair_parts<ordered<W>> = pair_parts<W>;

/// Elements 4 group .. 4 group + 3 of a unit of any type.
template <class W> inline void decode_group(const typename W::Raw &raw, int group, float (&w)[4]) {
  if constexpr (is_block<W>) {
    for (int i = 0; i < 4; i++)
      w[i] = fma(W::scale(raw, group / 4), float(W::quant(raw, 4 * group + i)), W::minimum(raw));
  } else {
    W::decode(raw, group, w);
  }
}

/// All elements of a unit.
template <class W> inline void decode_unit(const UnitAddress &unit, int index, float (&w)[W::elements]) {
  const typename W::Raw raw = W::fetch(unit, index);
  GSIC_UNROLL
  for (int group = 0; group < W::elements / 4; group++) {
    float four[4];
    decode_group<W>(raw, group, four);
    for (int i = 0; i < 4; i++) w[4 * group + i] = four[i];
  }
}

}  // namespace gsic

#endif
