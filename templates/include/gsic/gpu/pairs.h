// Integers of 32 elements as bf16 for matrix cores, two at a time.
#ifndef GSIC_GPU_PAIRS_H
#define GSIC_GPU_PAIRS_H

#include "gsic/dialect/gpu.h"

namespace gsic {

/// The first element of pair p of sixteen; the second is two behind it. So one mask over a word takes both, one from
/// each half of it; matrix cores get their columns in the order of the pairs.
constexpr int pair_element(int p) { return p / 2 * 4 + p % 2; }

/// 128 as bf16, twice: the last bits of such a number count ones, so that `or` adds up to seven bits.
constexpr uint32_t kPairBase = 0x43004300u;
constexpr int kPairBias = 128;

/// Two floats cut to bf16, as one word.
inline uint32_t cut_pair(float low, float high) {
  return bits_as<uint32_t>(low) >> 16 | (bits_as<uint32_t>(high) & 0xffff0000u);
}

/// A word shifted to the right, or to the left where `by` is negative.
inline uint32_t shifted(uint32_t word, int by) { return by >= 0 ? word >> by : word << -by; }

/// Nibble `i` of 16 bytes that hold elements 0 to 15 in their low halves and 16 to 31 in their high ones.
inline int nibble(const u32x4 &quants, int i) {
  return int(quants.v[i % 16 / 4] >> (8 * (i % 4) + 4 * (i / 16)) & 15u);
}

/// The nibbles of pair p plus kPairBias, as bf16.
inline uint32_t nibble_pair(const u32x4 &quants, int p) {
  return and_or(quants.v[p / 2 % 4] >> (8 * (p % 2) + 4 * (p / 8)), 0x000f000fu, held(kPairBase));
}
/// The same, with bit 4 from a plane that holds the first elements of all pairs in its low half, the second in its high
/// one.
inline uint32_t five_bit_pair(const u32x4 &quants, uint32_t plane, int p) {
  return and_or(shifted(plane, p - 4), 0x00100010u, nibble_pair(quants, p));
}
/// Where such a plane holds element i.
constexpr int fifth_place(int i) { return i / 4 * 2 + i % 2 + i % 4 / 2 * 16; }
inline int fifth_bit(uint32_t plane, int i) { return int(plane >> fifth_place(i) & 1u) << 4; }

}  // namespace gsic

#endif
