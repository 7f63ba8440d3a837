// Text to token ids and back: the BPE tokenizer of a bundle, and a helper for showing tokens as they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gsic {

/// A byte-level or sentencepiece-style BPE tokenizer, as `compiler/read/tokenizer-native.ts` writes it. Immutable
/// after loading: any number of threads may use one object.
class Tokenizer {
 public:
  /// Reads a tokenizer section (layout: tokenizer.cpp); the bytes are not needed afterwards.
  /// @throws std::runtime_error on malformed bytes; never reads beyond them
  static Tokenizer load(const std::uint8_t *bytes, std::size_t size);

  Tokenizer(Tokenizer &&) noexcept;
  Tokenizer &operator=(Tokenizer &&) noexcept;
  ~Tokenizer();

  /// The ids of a text, without `prefix()`. Each maximal part of the text that is not UTF-8 counts as U+FFFD.
  /// @param parse_special whether the text of special tokens becomes those tokens, or is ordinary text
  /// @throws std::runtime_error if a pattern gives up on the text (PCRE2's match limit)
  std::vector<std::int32_t> encode(std::string_view text, bool parse_special) const;

  /// The bytes that a token stands for: not always whole characters. Empty for an id that is no token.
  std::string_view bytes(std::int32_t id) const;

  /// Whether the token is a control token, which is not for showing.
  bool is_special(std::int32_t id) const;

  /// Token ids; -1 where the tokenizer has none.
  std::int32_t bos() const;
  std::int32_t eos() const;

  /// What belongs in front of every text: usually nothing, or `bos()`.
  const std::vector<std::int32_t> &prefix() const;

  /// Number of ids, holes included.
  std::int32_t size() const;

 private:
  struct Tables;
  explicit Tokenizer(std::unique_ptr<Tables> tables);
  std::unique_ptr<Tables> tables_;
};

/// Turns bytes that arrive in arbitrary pieces into valid UTF-8: an incomplete character is held back until the
/// rest comes, and each maximal part that cannot be UTF-8 becomes U+FFFD.
class Utf8Stream {
 public:
  /// What can be shown after these bytes.
  std::string push(std::string_view bytes);
  /// What is left at the end: nothing, or U+FFFD for a character that was never completed.
  std::string finish();

 private:
  std::string held_;
};

}  // namespace gsic
