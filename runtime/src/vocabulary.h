// The tokens of a tokenizer: their bytes, and the ids of texts.
#ifndef GSIC_SRC_VOCABULARY_H
#define GSIC_SRC_VOCABULARY_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gsic {

/// Texts of tokens, one behind the other: that of an id ends at ends[id], where the next one begins.
struct TokenTexts {
  std::string bytes;
  std::vector<uint32_t> ends;

  size_t size() const { return ends.size(); }
  std::string_view at(size_t id) const;
  void add(std::string_view text);
};

/// How tokens spell: byte-level ones by their bytes; others by characters, with metaspaces for spaces.
struct Spelling {
  bool metaspace;
  bool byte_fallback;  ///< of metaspace: a token <0xNN> is the byte NN
};

/// All tokens of a tokenizer.
class Vocabulary {
 public:
  /// `ordinary`, one byte for each token: whether text becomes the token by lookup.
  Vocabulary(TokenTexts stored, const uint8_t *ordinary, Spelling spelling);
  Vocabulary(const Vocabulary &) = delete;
  Vocabulary &operator=(const Vocabulary &) = delete;

  size_t size() const { return stored_.size(); }
  /// What a token stands for, spaces and bytes resolved.
  std::string_view shown(size_t id) const { return shown_.at(id); }
  /// The token of a text as it is stored; -1 for none.
  int32_t find(std::string_view text) const;
  /// The token of a byte; -1 for none.
  int32_t of_byte(uint8_t byte) const { return byte_tokens_[byte]; }

 private:
  const TokenTexts stored_;
  TokenTexts shown_;
  std::unordered_map<std::string_view, int32_t> ids_;  ///< of texts in `stored_`
  std::array<int32_t, 256> byte_tokens_;
};

}  // namespace gsic

#endif
