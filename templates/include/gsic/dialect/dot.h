// Integer dot products of the CPU dialect: sixteen rows of unsigned bytes with signed activations of 16 bits.
//
// A register holds four consecutive elements of a row in each of its sixteen lanes. The four activations that they
// meet are a Quad, in the form that the dialect's instruction reads. All dialects are exact in 32 bits, so that every
// target has the same integers.
#ifndef GSIC_DIALECT_DOT_H
#define GSIC_DIALECT_DOT_H

#include "gsic/dialect/cpu.h"

#if defined(__AVX512F__) && !defined(__AVX512VNNI__)
#error "quantised kernels take AVX512-VNNI; a machine without it takes the target cpu-avx2"
#endif

namespace gsic {

/// Largest activation: 256 high + low has 8 bits each up to 32639, and rounding may add one half.
constexpr int kLargestActivation = 32512;

}  // namespace gsic

#endif
