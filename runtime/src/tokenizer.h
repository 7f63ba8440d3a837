// Text to token ids and back: the BPE tokenizer of a bundle.
#ifndef GSIC_SRC_TOKENIZER_H
#define GSIC_SRC_TOKENIZER_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gsic {

struct TokenizerTables;

/// How a text is encoded.
struct Encoding {
  /// Whether the text of special tokens becomes those tokens; else it is ordinary text.
  bool parse_special = false;
  /// Offsets of bytes of the text, ascending: a special token that covers one of them is ordinary text all the same.
  std::vector<size_t> literal;
  /// Asked again and again; true: the text is not wanted any more. Empty: it always is.
  std::function<bool()> stop;
};

/// A byte-level or sentencepiece-style BPE tokenizer, as compiler/read/tokenizer-native.ts writes it. Immutable after
/// loading: any number of threads may use one object.
class Tokenizer {
 public:
  /// Reads a tokenizer section (tokenizer_section.h); the bytes are not needed afterwards. Throws std::runtime_error on
  /// malformed bytes, and never reads beyond them.
  static Tokenizer load(const uint8_t *bytes, size_t size);

  Tokenizer(Tokenizer &&) noexcept;
  Tokenizer &operator=(Tokenizer &&) noexcept;
  ~Tokenizer();

  /// The ids of a text, without `prefix()`. Each maximal part of the text that is not UTF-8 counts as U+FFFD; there is
  /// none where `literal` is given. Throws GSIC_INVALID_ARGUMENT if a pattern gives up on the text (PCRE2's match
  /// limit), and GSIC_CANCELLED.
  std::vector<int32_t> encode(std::string_view text, const Encoding &encoding) const;
  std::vector<int32_t> encode(std::string_view text, bool parse_special) const {
    return encode(text, Encoding{parse_special, {}, {}});
  }

  /// The texts of all special tokens that are found in a text.
  const std::vector<std::string> &special_texts() const;

  /// The bytes that a token stands for: not always whole characters. Empty for an id that is no token.
  std::string_view bytes(int32_t id) const;

  /// Whether the token is a control token, which is not for showing.
  bool is_special(int32_t id) const;

  /// Token ids; -1 where the tokenizer has none.
  int32_t bos() const;
  int32_t eos() const;

  /// What belongs in front of every text: usually nothing, or `bos()`.
  const std::vector<int32_t> &prefix() const;

  /// Number of ids, holes included.
  int32_t size() const;

 private:
  explicit Tokenizer(std::unique_ptr<const TokenizerTables> tables);

  std::unique_ptr<const TokenizerTables> tables_;
};

}  // namespace gsic

#endif
