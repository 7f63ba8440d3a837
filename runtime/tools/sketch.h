// The random matrix Omega of a Nystrom sketch Y = C Omega, made again from its seed wherever it is needed.
#ifndef GSIC_TOOLS_SKETCH_H
#define GSIC_TOOLS_SKETCH_H

#include <cstddef>
#include <cstdint>

namespace gsic {

/// The seed that `gsic-tool calibrate` and examples/pytorch/collect_stats.py use: "gsic".
constexpr uint64_t kSketchSeed = 0x67736963;

/// Output `counter` of SplitMix64 (Steele, Lea and Flood 2014), which began at `seed`.
inline uint64_t split_mix(uint64_t seed, uint64_t counter) {
  uint64_t z = seed + (counter + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// Rows `first` to `first + rows` of Omega [d, width], row-major: entry [i, j] is +1 or -1, by bit j mod 64 of
/// split_mix(seed, 2^32 i + floor(j / 64)), where a one means -1. Signs, because every language makes the same ones;
/// in practice they serve as well as Gaussians (Tropp, Yurtsever, Udell and Cevher 2017, arXiv 1609.00048). The first
/// columns of a wide Omega are the narrow one.
template <typename Real> void fill_omega(uint64_t seed, size_t first, size_t rows, size_t width, Real *omega) {
  for (size_t i = 0; i < rows; i++) {
    uint64_t word = 0;
    for (size_t j = 0; j < width; j++) {
      if (j % 64 == 0) word = split_mix(seed, (uint64_t(first + i) << 32) + j / 64);
      omega[i * width + j] = Real(1) - Real(2) * Real((word >> (j % 64)) & 1);
    }
  }
}

}  // namespace gsic

#endif
