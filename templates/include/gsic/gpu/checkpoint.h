// What quantised checkpoints have, on GPUs: weight types as those of weights.h.
#ifndef GSIC_GPU_CHECKPOINT_H
#define GSIC_GPU_CHECKPOINT_H

#include "gsic/float_tables.h"
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

/// Byte `Byte` of the sixteen numbers of a table, four of them a word, as bf16 numbers whose sums they are: bytes 0 and
/// 1 are the first number, cut to eight bits, 2 and 3 the second, which is what that leaves, and so on.
template <class Table, int Byte> struct TableBytes {
  static constexpr uint32_t bits(float value) { return __builtin_bit_cast(uint32_t, value); }
  static constexpr float cut(float value) { return __builtin_bit_cast(float, bits(value) & 0xffff0000u); }
  static constexpr uint32_t byte(int code) {
    float left = Table::values[code];
    for (int part = 0; part < Byte / 2; part++) left -= cut(left);
    return bits(left) >> (16 + Byte % 2 * 8) & 255u;
  }
  static constexpr uint32_t word(int i) {
    return byte(4 * i) | byte(4 * i + 1) << 8 | byte(4 * i + 2) << 16 | byte(4 * i + 3) << 24;
  }
};

/// Four codes of four bits, a byte each, as what chooses bytes: the lower three bits of each, and behind them which of
/// two results counts.
struct FourCodes {
  uint32_t lower, half;

  explicit FourCodes(uint32_t codes)
      : lower(codes & 0x07070707u), half(and_or(codes >> 1, 0x04040404u, held(0x03020100u))) {}
  /// The bytes of a table that the codes stand for.
  template <class Bytes> uint32_t choose() const {
    constexpr uint32_t words[] = {Bytes::word(0), Bytes::word(1), Bytes::word(2), Bytes::word(3)};
    const uint32_t low = choose_bytes(held(words[1]), words[0], lower);
    const uint32_t high = choose_bytes(held(words[3]), words[2], lower);
    return choose_bytes(high, low, half);
  }
};

/// bitsandbytes' four bits, w = d table[q]: nibbles, a float d for two units. Numbers of 24 bits are three bf16 numbers
/// each, exactly.
template <class Table> struct Tabled {
  static constexpr int elements = 32;
  static constexpr Plane planes[] = {{16, 1}, {4, 2}};
  struct Raw {
    u32x4 quants;
    float d;
  };
  static Raw fetch(const UnitAddress &unit, int) {
    return {sixteen_at(unit.plane[0]), load(reinterpret_cast<const float *>(unit.plane[1]))};
  }
  /// The codes of elements 4 group .. 4 group + 3.
  static FourCodes codes(const Raw &raw, int group) { return FourCodes(raw.quants.v[group % 4] >> (group / 4 * 4)); }
  static float quant(const Raw &raw, int i) {
    const FourCodes four = codes(raw, i / 4);
    return part<0>(four, i % 4) + (part<1>(four, i % 4) + part<2>(four, i % 4));
  }
  static float scale(const Raw &raw, int) { return raw.d; }
  static float minimum(const Raw &) { return 0; }
  static constexpr bool two_scales = false;
  /// Parts number Part of both elements of pair p.
  template <int Part> static uint32_t pair(const Raw &raw, int p) {
    const FourCodes four = codes(raw, p / 2);
    return choose_bytes(four.choose<TableBytes<Table, 2 * Part + 1>>(), four.choose<TableBytes<Table, 2 * Part>>(),
                        p % 2 == 0 ? 0x06020400u : 0x07030501u);
  }
  static float pair_minimum(const Raw &) { return 0; }

 private:
  /// Part number Part of one of four elements.
  template <int Part> static float part(const FourCodes &four, int i) {
    const uint32_t low = four.choose<TableBytes<Table, 2 * Part>>() >> 8 * i & 255u;
    const uint32_t high = four.choose<TableBytes<Table, 2 * Part + 1>>() >> 8 * i & 255u;
    return bits_as<float>(low << 16 | high << 24);
  }
};
using nf4 = Tabled<NormalFloats>;
using fp4 = Tabled<FourBitFloats>;
template <class Table> constexpr int pair_parts<Tabled<Table>> = 3;

}  // namespace gsic

#endif
