// Arithmetic on sizes, counts and offsets that come from a file. Every such number goes through here: a product or a
// sum that is written out elsewhere is one that nobody has checked. compiler/read/sizes.ts is the same in TypeScript;
// runtime/testing/size-vectors.json tests both.
#ifndef GSIC_SRC_SIZES_H
#define GSIC_SRC_SIZES_H

#include <cstdint>
#include <initializer_list>
#include <optional>

namespace gsic {

/// Sizes end here, as those that TypeScript counts exactly do: no file is so large.
constexpr uint64_t kMostSize = (uint64_t(1) << 53) - 1;

/// The sum, or none where a term or the sum is above kMostSize.
inline std::optional<uint64_t> checked_sum(std::initializer_list<uint64_t> terms) {
  uint64_t sum = 0;
  for (const uint64_t term : terms) {
    if (term > kMostSize || sum > kMostSize - term) return std::nullopt;
    sum += term;
  }
  return sum;
}

/// The product, or none where it is above kMostSize. A factor of 0 does not hide an overflow of the others.
inline std::optional<uint64_t> checked_product(std::initializer_list<uint64_t> factors) {
  uint64_t product = 1;
  bool zero = false;
  for (const uint64_t factor : factors) {
    if (factor > kMostSize || (factor != 0 && product > kMostSize / factor)) return std::nullopt;
    if (factor == 0)
      zero = true;
    else
      product *= factor;
  }
  return zero ? 0 : product;
}

/// The smallest multiple of `alignment`, which is not 0, from `size` on; none where it is above kMostSize.
inline std::optional<uint64_t> checked_padding(uint64_t size, uint64_t alignment) {
  const uint64_t rest = size % alignment;
  return checked_sum({size, rest == 0 ? 0 : alignment - rest});
}

/// Whether `bytes` bytes from `offset` on lie within `size` bytes.
inline bool range_fits(uint64_t offset, uint64_t bytes, uint64_t size) {
  const std::optional<uint64_t> end = checked_sum({offset, bytes});
  return end && *end <= size;
}

}  // namespace gsic

#endif
