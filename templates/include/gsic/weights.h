// Weights that are stored as numbers: how 32 packed elements, a block, become two vectors of f32, or a register of
// each.
#ifndef GSIC_WEIGHTS_H
#define GSIC_WEIGHTS_H

#include "gsic/dialect/cpu.h"
#include "gsic/exponent.h"

namespace gsic {

struct f32 {
  static constexpr int bytes = 128;
  static inline void decode(const uint8_t *block, f32x16 (&w)[2]) {
    w[0] = load(reinterpret_cast<const float *>(block));
    w[1] = load(reinterpret_cast<const float *>(block) + 16);
  }
  static inline void decode_part(const uint8_t *block, int part, f32_part (&w)[2]) {
    const float *from = reinterpret_cast<const float *>(block) + kPartLanes * part;
    w[0] = load_part(from);
    w[1] = load_part(from + kLanes);
  }
};

/// Packed as sixteen words of 32 bits, element i in the lower half of word i and element 16 + i in the upper one.
struct bf16 {
  static constexpr int bytes = 64;
  static inline void decode(const uint8_t *block, f32x16 (&w)[2]) { widen(load_i32(block), w); }
  static inline void decode_part(const uint8_t *block, int part, f32_part (&w)[2]) {
    load_bf16_parts(block + 4 * kPartLanes * part, w);
  }
  static inline void widen(i32x16 words, f32x16 (&w)[2]) {
    w[0] = as_f32(shift_left<16>(words));
    w[1] = as_f32(bit_and(words, broadcast_i32(int32_t(0xffff0000))));
  }
};

struct f16 {
  static constexpr int bytes = 64;
  static inline void decode(const uint8_t *block, f32x16 (&w)[2]) {
    w[0] = load_f16(block);
    w[1] = load_f16(block + 32);
  }
  static inline void decode_part(const uint8_t *block, int part, f32_part (&w)[2]) {
    w[0] = load_f16_part(block + 2 * kPartLanes * part);
    w[1] = load_f16_part(block + 32 + 2 * kPartLanes * part);
  }
};

}  // namespace gsic

#endif
