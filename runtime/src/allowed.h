// What may come next in a constrained text.
#ifndef GSIC_SRC_ALLOWED_H
#define GSIC_SRC_ALLOWED_H

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gsic.h"

namespace gsic {

/// A gsic_allowed that owns what it says.
class Allowed {
 public:
  /// Nothing is known.
  Allowed() = default;
  /// Throws GSIC_INVALID_ARGUMENT for a mask that allows no token of the vocabulary, and for `ahead` beyond it.
  Allowed(const gsic_allowed &given, uint32_t vocabulary);

  /// Whether it is about a text of so many generated tokens.
  bool knows(size_t generated) const { return !masks_.empty() && generated_ == generated; }
  const std::vector<int32_t> &ahead() const { return ahead_; }
  /// What may come behind the first `count` tokens of `ahead`.
  const uint32_t *mask(size_t count) const { return masks_.data() + count * words_; }

 private:
  size_t generated_ = 0, words_ = 0;
  std::vector<uint32_t> masks_;
  std::vector<int32_t> ahead_;
};

}  // namespace gsic

#endif
