// What all CPU dialects have in common.
#ifndef GSIC_DIALECT_LANES_H
#define GSIC_DIALECT_LANES_H

namespace gsic {

/// Lanes of a vector, on every CPU.
constexpr int kLanes = 16;

}  // namespace gsic

#endif
