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

#include "gsic/core.h"
#include "gsic/dialect/dot.h"
#include "gsic/exponent.h"
#include "gsic/work.h"

namespace gsic {

constexpr int kDotBlock = kBlock;

/// A block of activations.
struct DotBlock {
  Quad quads[kDotBlock / 4];
  float scale;        ///< 2^(e - E)
  int32_t minus_sum;  ///< - sum of n
};

/// One column of activations.
struct DotColumn {
  /// The result is factor[1] (row scale (factor[0] sum)): two factors, since their product may be no f32.
  float factor[2];
  DotBlock *blocks;
};

/// The code that makes columns: cores/activations.h.
template <int Block> struct GSIC_CORE ActivationCore {
  /// Fills a column of `blocks` blocks. `x` is read up to a multiple of 32, where it is zero.
  static void set(const float *x, int blocks, DotColumn &column);
};

}  // namespace gsic

#if !defined(GSIC_CORES_APART)
#include "gsic/cores/activations.h"
#endif

#endif
