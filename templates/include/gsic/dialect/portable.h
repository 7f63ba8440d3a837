// Sixteen lanes as vectors of the compiler, for any machine.
#ifndef GSIC_DIALECT_PORTABLE_H
#define GSIC_DIALECT_PORTABLE_H

#include <stdint.h>
#include <string.h>

#include "gsic/dialect/half.h"
#include "gsic/dialect/lanes.h"

namespace gsic {

constexpr int kTileColumns = 1, kWrittenColumns = 0, kBlockColumns = 1, kPlainColumns = 0;

typedef float f32_vector __attribute__((vector_size(64)));
typedef int32_t i32_vector __attribute__((vector_size(64)));
typedef uint32_t u32_vector __attribute__((vector_size(64)));
struct f32x16 {
  f32_vector v;
};
struct i32x16 {
  i32_vector v;
};

/// A vector is one register.
constexpr int kParts = 1, kPartLanes = kLanes;
using f32_part = f32x16;

inline f32x16 zero() { return {f32_vector{}}; }
inline f32x16 broadcast(float a) { return {f32_vector{} + a}; }
inline f32x16 load(const float *p) {
  f32x16 a;
  memcpy(&a.v, p, sizeof a.v);
  return a;
}
inline void store(float *p, f32x16 a) { memcpy(p, &a.v, sizeof a.v); }
inline f32_part load_part(const float *p) { return load(p); }
inline f32_part part_of(const f32x16 &a, int) { return a; }
inline void set_part(f32x16 &a, int, f32_part value) { a = value; }
inline f32x16 add(f32x16 a, f32x16 b) { return {a.v + b.v}; }
inline f32x16 multiply(f32x16 a, f32x16 b) { return {a.v * b.v}; }
inline f32x16 maximum(f32x16 a, f32x16 b) {
  f32x16 c;
  for (int i = 0; i < kLanes; i++) c.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return c;
}
inline f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
#if defined(__FP_FAST_FMAF)
  f32x16 d;
  for (int i = 0; i < kLanes; i++) d.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
  return d;
#else
  return {a.v * b.v + c.v};
#endif
}

inline f32x16 load_f16(const uint8_t *p) {
  uint16_t half[kLanes];
  memcpy(half, p, sizeof half);
  f32x16 a;
  for (int i = 0; i < kLanes; i++) a.v[i] = f16_to_f32(half[i]);
  return a;
}
inline f32_part load_f16_part(const uint8_t *p) { return load_f16(p); }
inline void store_f16(uint8_t *p, f32x16 a) {
  uint16_t half[kLanes];
  for (int i = 0; i < kLanes; i++) half[i] = f32_to_f16(a.v[i]);
  memcpy(p, half, sizeof half);
}
inline i32x16 load_u8(const uint8_t *p) {
  i32x16 a;
  for (int i = 0; i < kLanes; i++) a.v[i] = p[i];
  return a;
}
inline i32x16 load_i8(const uint8_t *p) {
  i32x16 a;
  for (int i = 0; i < kLanes; i++) a.v[i] = int8_t(p[i]);
  return a;
}
/// Numbers of FP8 E4M3, divided by 256. As f32 they have the same bits of exponent; scaling moves it, and makes
/// subnormal ones normal.
inline f32x16 load_e4m3(const uint8_t *p) {
  const i32_vector bits = load_i8(p).v << 20 & int32_t(0x87f00000);
  f32x16 a;
  memcpy(&a.v, &bits, sizeof a.v);
  return {a.v * 0x1p112f};
}
inline i32x16 load_i32(const uint8_t *p) {
  i32x16 a;
  memcpy(&a.v, p, sizeof a.v);
  return a;
}
/// Of sixteen numbers those that the lower four bits of each lane name.
inline f32x16 look_up(const float *table, i32x16 index) {
  f32x16 a;
  for (int i = 0; i < kLanes; i++) a.v[i] = table[index.v[i] & 15];
  return a;
}
inline i32x16 broadcast_i32(int32_t a) { return {i32_vector{} + a}; }
inline i32x16 lane_index() { return {i32_vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}; }
inline i32x16 bit_and(i32x16 a, i32x16 b) { return {a.v & b.v}; }
inline i32x16 bit_or(i32x16 a, i32x16 b) { return {a.v | b.v}; }
inline i32x16 or_masked(i32x16 a, i32x16 b, i32x16 mask) { return {a.v | (b.v & mask.v)}; }
template <int N> inline i32x16 shift_left(i32x16 a) { return {a.v << N}; }
template <int N> inline i32x16 shift_right(i32x16 a) { return {i32_vector(u32_vector(a.v) >> N)}; }
inline i32x16 shift_right(i32x16 a, i32x16 by) { return {i32_vector(u32_vector(a.v) >> u32_vector(by.v))}; }
inline f32x16 to_f32(i32x16 a) { return {__builtin_convertvector(a.v, f32_vector)}; }
inline i32x16 round_to_i32(f32x16 a) {
  i32x16 b;
  for (int i = 0; i < kLanes; i++) b.v[i] = int32_t(__builtin_rintf(a.v[i]));
  return b;
}
inline i32x16 add_i32(i32x16 a, i32x16 b) { return {a.v + b.v}; }
inline i32x16 multiply_i32(i32x16 a, i32x16 b) { return {a.v * b.v}; }
inline void store_i32(uint8_t *p, i32x16 a) { memcpy(p, &a.v, sizeof a.v); }
inline f32x16 as_f32(i32x16 a) {
  f32x16 b;
  memcpy(&b.v, &a.v, sizeof b.v);
  return b;
}

/// The lower halves of words, and the upper ones, as the upper halves of numbers.
inline void load_bf16_parts(const uint8_t *p, f32_part (&w)[2]) {
  const i32x16 words = load_i32(p);
  w[0] = as_f32(shift_left<16>(words));
  w[1] = as_f32(bit_and(words, broadcast_i32(int32_t(0xffff0000))));
}

/// Sixteen bytes to look up in.
struct ByteTable {
  uint8_t bytes[16];
};
inline ByteTable load_table(const uint8_t *p) {
  ByteTable table;
  memcpy(table.bytes, p, sizeof table.bytes);
  return table;
}
/// The pairs of bf16 of four rows' block from 64 bytes of codes and 128 of lower bytes: see coded.h.
inline void load_coded(const uint8_t *block, const ByteTable &table, i32x16 (&rows)[4]) {
  uint16_t words[4][2 * kLanes];
  for (int i = 0; i < 64; i++) {
    const int word = i / 16 * 8 + i % 8, row = i / 8 % 2, code = block[i];
    words[row][word] = uint16_t(block[64 + i] | table.bytes[code & 15] << 8);
    words[2 + row][word] = uint16_t(block[128 + i] | table.bytes[code >> 4] << 8);
  }
  for (int row = 0; row < 4; row++) memcpy(&rows[row].v, words[row], sizeof rows[row].v);
}

/// The sum of the sixteen lanes: halves are added until one lane is left.
inline float reduce(f32x16 a) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) a.v[i] += a.v[i + half];
  return a.v[0];
}
inline void reduce_four(const f32x16 *v, float *sums) {
  for (int i = 0; i < 4; i++) sums[i] = reduce(v[i]);
}
inline void prefetch(const uint8_t *) {}
inline float reduce_maximum(f32x16 a) {
  float best = a.v[0];
  for (int i = 1; i < kLanes; i++) best = a.v[i] > best ? a.v[i] : best;
  return best;
}
inline float load_f16_scalar(const uint8_t *p) {
  uint16_t half;
  memcpy(&half, p, 2);
  return f16_to_f32(half);
}

/// Lane i is the sum of v[i]'s lanes.
inline f32x16 reduce_each(const f32x16 (&v)[16]) {
  float sums[kLanes];
  for (int i = 0; i < kLanes; i++) sums[i] = reduce(v[i]);
  return load(sums);
}

/// a * b + c, rounded once where the machine can do so at once.
inline float fma(float a, float b, float c) {
#if defined(__FMA__) || defined(__FP_FAST_FMAF)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

// Activations are 16 bits.

constexpr int kDotColumns = 1;

struct Quad {
  int16_t x[4];
};
struct DotSum {
  i32x16 v;
};

inline void store_quads(Quad *quads, i32x16 n) {
  for (int i = 0; i < kLanes; i++) quads[i / 4].x[i % 4] = int16_t(n.v[i]);
}
inline DotSum dot_start(i32x16 value) { return {value}; }
inline void dot(DotSum &sum, i32x16 q, const Quad &x) {
  // Byte i of a lane is element i: the lowest byte comes first, as on every machine that the portable form runs on.
  for (int i = 0; i < 4; i++) sum.v.v += ((q.v >> (8 * i)) & 255) * int32_t(x.x[i]);
}
inline i32x16 dot_total(const DotSum &sum) { return sum.v; }

}  // namespace gsic

#endif
