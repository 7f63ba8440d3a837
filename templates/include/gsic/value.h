// How a value lies in memory: [GSIC_MAX_COLUMNS, stride] f32.
#ifndef GSIC_VALUE_H
#define GSIC_VALUE_H

#include "gsic/abi.h"

namespace gsic {

/// The width of a value's buffer: `width` rounded up, so that kernels read whole vectors. On CPUs the rest is zero.
constexpr int stride_of(int width) { return (width + GSIC_WIDTH_STEP - 1) / GSIC_WIDTH_STEP * GSIC_WIDTH_STEP; }

}  // namespace gsic

#endif
