// Regular expressions of tokenizers.
#ifndef GSIC_SRC_TOKENIZER_PATTERN_H
#define GSIC_SRC_TOKENIZER_PATTERN_H

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace gsic {

/// A compiled pattern in the syntax of PCRE2.
class Pattern {
 public:
  /// Throws std::runtime_error where the source is no pattern.
  explicit Pattern(const std::string &source);
  ~Pattern();
  Pattern(const Pattern &) = delete;
  Pattern &operator=(const Pattern &) = delete;

  /// Calls `found(start, end)` for every match in valid UTF-8, from left to right; empty ones too, but not where one
  /// just ended. Throws GSIC_INVALID_ARGUMENT if PCRE2 gives up, std::runtime_error if matches overlap.
  void for_each(std::string_view text, const std::function<void(size_t start, size_t end)> &found) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace gsic

#endif
