// The tokens that stand before a choice.
#ifndef GSIC_SRC_PAST_H
#define GSIC_SRC_PAST_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gsic {

/// The first `held` of a session's tokens, and tokens that are proposed behind them. It lives as long as both.
class Past {
 public:
  Past(const std::vector<int32_t> &tokens, size_t held) : tokens_(tokens), held_(held) {}
  Past(const std::vector<int32_t> &tokens, const std::vector<int32_t> &proposed)
      : tokens_(tokens), held_(tokens.size()), proposed_(&proposed) {}

  /// Also the position of the token that is chosen.
  size_t length() const { return held_ + (proposed_ != nullptr ? proposed_->size() : 0); }
  int32_t operator[](size_t index) const { return index < held_ ? tokens_[index] : (*proposed_)[index - held_]; }

 private:
  const std::vector<int32_t> &tokens_;
  size_t held_;
  const std::vector<int32_t> *proposed_ = nullptr;
};

}  // namespace gsic

#endif
