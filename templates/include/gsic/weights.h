// Weight types: how 32 stored elements become two vectors of f32. Formulae: the GGUF block formats.
//
// A type has `elements` and `bytes` of one block, `steps` = elements / 32, and
// `decode(block, step, w)`: elements 32 step .. 32 step + 31 of the block as w[0], w[1].
#ifndef GSIC_WEIGHTS_H
#define GSIC_WEIGHTS_H

#include "gsic/dialect/cpu.h"

namespace gsic {

struct f32 {
  static constexpr int elements = 32, bytes = 128, steps = 1;
  static inline void decode(const uint8_t *block, int, f32x16 (&w)[2]) {
    w[0] = load(reinterpret_cast<const float *>(block));
    w[1] = load(reinterpret_cast<const float *>(block) + 16);
  }
};

/// Packed as sixteen words of 32 bits, element i in the lower half of word i and element 16 + i in the upper one.
struct bf16 {
  static constexpr int elements = 32, bytes = 64, steps = 1;
  static inline void decode(const uint8_t *block, int, f32x16 (&w)[2]) {
    const i32x16 words = load_i32(block);
    w[0] = as_f32(shift_left<16>(words));
    w[1] = as_f32(bit_and(words, broadcast_i32(int32_t(0xffff0000))));
  }
};

struct f16 {
  static constexpr int elements = 32, bytes = 64, steps = 1;
  static inline void decode(const uint8_t *block, int, f32x16 (&w)[2]) {
    w[0] = load_f16(block);
    w[1] = load_f16(block + 32);
  }
};

/// Elements 0 to 15 in the low nibbles of 16 bytes, 16 to 31 in the high ones.
inline void split_nibbles(const uint8_t *p, i32x16 &low, i32x16 &high) {
  const i32x16 both = load_u8(p);
  low = bit_and(both, broadcast_i32(15));
  high = shift_right<4>(both);
}

/// Adds 16 to the lanes whose bit in `bits` is set; lane i looks at bit i.
inline i32x16 fifth_bit(i32x16 q, uint32_t bits) {
  const i32x16 bit = bit_and(shift_right(broadcast_i32(int32_t(bits)), lane_index()), broadcast_i32(1));
  return bit_or(q, shift_left<4>(bit));
}

inline uint32_t load_u32(const uint8_t *p) {
  uint32_t value;
  memcpy(&value, p, 4);
  return value;
}

/// w = d q: f16 d, 32 x i8 q.
struct q8_0 {
  static constexpr int elements = 32, bytes = 34, steps = 1;
  static inline void decode(const uint8_t *block, int, f32x16 (&w)[2]) {
    const f32x16 d = broadcast(load_f16_scalar(block));
    w[0] = multiply(d, to_f32(load_i8(block + 2)));
    w[1] = multiply(d, to_f32(load_i8(block + 18)));
  }
};

/// w = d (q - 8): f16 d, 32 nibbles.
struct q4_0 {
  static constexpr int elements = 32, bytes = 18, steps = 1;
  static inline void decode(const uint8_t *block, int, f32x16 (&w)[2]) {
    const float d = load_f16_scalar(block);
    i32x16 low, high;
    split_nibbles(block + 2, low, high);
    w[0] = fma(broadcast(d), to_f32(low), broadcast(-8.0f * d));
    w[1] = fma(broadcast(d), to_f32(high), broadcast(-8.0f * d));
  }
};

/// w = d q + m: f16 d, f16 m, 32 nibbles.
struct q4_1 {
  static constexpr int elements = 32, bytes = 20, steps = 1;
  static inline void decode(const uint8_t *block, int, f32x16 (&w)[2]) {
    const f32x16 d = broadcast(load_f16_scalar(block)), m = broadcast(load_f16_scalar(block + 2));
    i32x16 low, high;
    split_nibbles(block + 4, low, high);
    w[0] = fma(d, to_f32(low), m);
    w[1] = fma(d, to_f32(high), m);
  }
};

/// w = d (q - 16): f16 d, 32 fifth bits, 32 nibbles.
struct q5_0 {
  static constexpr int elements = 32, bytes = 22, steps = 1;
  static inline void decode(const uint8_t *block, int, f32x16 (&w)[2]) {
    const float d = load_f16_scalar(block);
    const uint32_t bits = load_u32(block + 2);
    i32x16 low, high;
    split_nibbles(block + 6, low, high);
    w[0] = fma(broadcast(d), to_f32(fifth_bit(low, bits)), broadcast(-16.0f * d));
    w[1] = fma(broadcast(d), to_f32(fifth_bit(high, bits >> 16)), broadcast(-16.0f * d));
  }
};

/// w = d q + m: f16 d, f16 m, 32 fifth bits, 32 nibbles.
struct q5_1 {
  static constexpr int elements = 32, bytes = 24, steps = 1;
  static inline void decode(const uint8_t *block, int, f32x16 (&w)[2]) {
    const f32x16 d = broadcast(load_f16_scalar(block)), m = broadcast(load_f16_scalar(block + 2));
    const uint32_t bits = load_u32(block + 4);
    i32x16 low, high;
    split_nibbles(block + 8, low, high);
    w[0] = fma(d, to_f32(fifth_bit(low, bits)), m);
    w[1] = fma(d, to_f32(fifth_bit(high, bits >> 16)), m);
  }
};

/// Scale and minimum of one of the 8 groups of a K block: 6 bits each, packed into 12 bytes.
inline void unpack_scale(const uint8_t *packed, int group, int &scale, int &minimum) {
  if (group < 4) {
    scale = packed[group] & 63;
    minimum = packed[group + 4] & 63;
  } else {
    scale = (packed[group + 4] & 15) | ((packed[group - 4] >> 6) << 4);
    minimum = (packed[group + 4] >> 4) | ((packed[group] >> 6) << 4);
  }
}

/// 256 elements in 8 groups of 32: w = d s q - dmin m, q of 4 bits, or of 5 with the fifth ones in 32 bytes.
template <bool FifthBits> struct q45_k {
  static constexpr int elements = 256, bytes = FifthBits ? 176 : 144, steps = 8;
  static inline void decode(const uint8_t *block, int step, f32x16 (&w)[2]) {
    int scale, minimum;
    unpack_scale(block + 4, step, scale, minimum);
    const f32x16 d = broadcast(load_f16_scalar(block) * float(scale));
    const f32x16 m = broadcast(-load_f16_scalar(block + 2) * float(minimum));
    const uint8_t *quants = block + (FifthBits ? 48 : 16) + 32 * (step / 2);
    for (int half = 0; half < 2; half++) {
      const i32x16 both = load_u8(quants + 16 * half);
      i32x16 q = step % 2 == 0 ? bit_and(both, broadcast_i32(15)) : shift_right<4>(both);
      if constexpr (FifthBits) {
        const i32x16 fifth = shift_right(load_u8(block + 16 + 16 * half), broadcast_i32(step));
        q = bit_or(q, shift_left<4>(bit_and(fifth, broadcast_i32(1))));
      }
      w[half] = fma(d, to_f32(q), m);
    }
  }
};
using q4_k = q45_k<false>;
using q5_k = q45_k<true>;

/// 256 elements in 16 groups of 16: w = d s (q - 32), with i8 s, q of 4 + 2 bits.
struct q6_k {
  static constexpr int elements = 256, bytes = 210, steps = 8;
  static inline void decode(const uint8_t *block, int step, f32x16 (&w)[2]) {
    const int half_block = step / 4, quarter = step % 4;
    const uint8_t *low = block + 64 * half_block + 32 * (quarter % 2);
    const uint8_t *high = block + 128 + 32 * half_block;
    const int8_t *scales = reinterpret_cast<const int8_t *>(block + 192) + 8 * half_block + 2 * quarter;
    const float d = load_f16_scalar(block + 208);
    for (int half = 0; half < 2; half++) {
      const i32x16 nibbles = load_u8(low + 16 * half);
      const i32x16 four = quarter < 2 ? bit_and(nibbles, broadcast_i32(15)) : shift_right<4>(nibbles);
      const i32x16 top = shift_right(load_u8(high + 16 * half), broadcast_i32(2 * quarter));
      const i32x16 q = bit_or(four, shift_left<4>(bit_and(top, broadcast_i32(3))));
      const float scale = d * float(scales[half]);
      w[half] = fma(broadcast(scale), to_f32(q), broadcast(-32.0f * scale));
    }
  }
};

}  // namespace gsic

#endif
