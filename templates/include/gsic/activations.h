// Activations as integers of 16 bits, a power of two per block of 32: what quantised matrices are multiplied with.
//
//   x[i] ~ 2^(e - 141) n[i],  |n[i]| <= 32512,  wrong by at most half a unit
//
// The largest |n| of a block is at least 16256, so an element is wrong by at most 2^-15 of the block's largest one.
// Scaling by powers of two is exact, for denormal numbers as well. Blocks count relative to E, the largest e of the
// column, so that no sum overflows before the result does; blocks below 2^(E - 126) count as zero. A column with an
// element that is not finite has the factor NaN, so that all its products are NaN.
#ifndef GSIC_ACTIVATIONS_H
#define GSIC_ACTIVATIONS_H

#include "gsic/dialect/dot.h"
#include "gsic/exponent.h"
#include "gsic/work.h"

namespace gsic {

constexpr int kDotBlock = kBlock;

/// One column of D activations. `x` is read up to a multiple of 32, where it is zero.
template <int D> struct DotColumn {
  static constexpr int blocks = (D + kDotBlock - 1) / kDotBlock;
  /// The result is factor[1] (row scale (factor[0] sum)): two factors, since their product may be no f32.
  float factor[2];
  float scales[blocks];        ///< 2^(e - E)
  int32_t minus_sums[blocks];  ///< - sum of n
  Quad quads[blocks * kDotBlock / 4];

  void set(const float *x) {
    int exponents[blocks], largest = -64;
    bool finite = true;
    for (int block = 0; block < blocks; block++) {
      const uint32_t bits = largest_bits(x + block * kDotBlock);
      finite &= bits < 0x7f800000;
      exponents[block] = block_exponent(bits);
      largest = largest > exponents[block] ? largest : exponents[block];
    }
    for (int block = 0; block < blocks; block++) {
      scales[block] = largest - exponents[block] > 126 ? 0.0f : power_of_two(exponents[block] - largest);
      if (finite)
        set_block(block, x + block * kDotBlock, exponents[block]);
      else
        clear_block(block);
    }
    const int half = (largest - 141) / 2;
    factor[0] = power_of_two(half);
    factor[1] = finite ? power_of_two(largest - 141 - half) : __builtin_nanf("");
  }

 private:
  void set_block(int block, const float *x, int exponent) {
    const int half = (141 - exponent) / 2;
    const f32x16 first = broadcast(power_of_two(half)), second = broadcast(power_of_two(141 - exponent - half));
    i32x16 n[2];
    for (int i = 0; i < 2; i++) n[i] = round_to_i32(multiply(multiply(load(x + kLanes * i), first), second));
    int32_t integers[kLanes], sum = 0;
    const i32x16 both = add_i32(n[0], n[1]);
    memcpy(integers, &both, sizeof integers);
    for (int i = 0; i < kLanes; i++) sum += integers[i];
    for (int i = 0; i < 2; i++) store_quads(quads + block * kDotBlock / 4 + 4 * i, n[i]);
    minus_sums[block] = -sum;
  }

  void clear_block(int block) {
    for (int i = 0; i < 2; i++) store_quads(quads + block * kDotBlock / 4 + 4 * i, broadcast_i32(0));
    minus_sums[block] = 0;
  }
};

}  // namespace gsic

#endif
