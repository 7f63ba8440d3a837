// The CPU dialect: sixteen lanes of f32 and of i32, as one, two or sixteen machine registers.
//
// Every target has the same sixteen lanes and reduces them in the same order, so kernels add in the same order on
// all of them. AVX-512 and AVX2 give the same bits; the portable form rounds products once more where the machine
// has no fused multiply-add.
#ifndef GSIC_DIALECT_CPU_H
#define GSIC_DIALECT_CPU_H

namespace gsic {

constexpr int kLanes = 16;

}  // namespace gsic

#if defined(__AVX512F__)
#include "gsic/dialect/avx512.h"
#include "gsic/dialect/x86.h"
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "gsic/dialect/avx2.h"
#include "gsic/dialect/x86.h"
#else
#include "gsic/dialect/portable.h"
#endif

namespace gsic {

#if !defined(__AVX512F__)

inline f32x16 reduce_each(const f32x16 (&v)[16]) {
  float sums[kLanes];
  for (int i = 0; i < kLanes; i++) sums[i] = reduce(v[i]);
  return load(sums);
}

#endif

/// a * b + c, rounded once where the machine can do so at once.
inline float fma(float a, float b, float c) {
#if defined(__FMA__) || defined(__FP_FAST_FMAF)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

}  // namespace gsic

#endif
