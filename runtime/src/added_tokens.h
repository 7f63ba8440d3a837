// Tokens that are found in the text itself, before it is cut into pieces.
#ifndef GSIC_SRC_ADDED_TOKENS_H
#define GSIC_SRC_ADDED_TOKENS_H

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gsic {

struct AddedToken {
  int32_t id;
  bool special;                    ///< a control token
  bool normalized;                 ///< found in normalised text
  bool strips_left, strips_right;  ///< white space beside it belongs to it
  std::string content;             ///< not empty
};

/// A part of a text: an added token, or, with `id` -1, text to look at further.
struct TextPart {
  int32_t id;
  std::string text;
  bool first;        ///< whether it begins the text
  size_t begin = 0;  ///< where it stood in the part that was split
};

/// Which special tokens are found.
struct SpecialTokens {
  bool parse;
  /// Offsets of bytes, ascending, that none may cover; null: there are none.
  const std::vector<size_t> *literal;
};

/// Finds added tokens: the leftmost, and of those the longest.
class AddedTokens {
 public:
  /// All are added before `finish`, which is called before anything is found.
  void add(const AddedToken &token);
  void finish();

  /// Appends the parts of a part that is text, which is valid UTF-8.
  void split(const TextPart &part, SpecialTokens special, std::vector<TextPart> &parts) const;

 private:
  const AddedToken *find(std::string_view text) const;

  std::array<std::vector<AddedToken>, 256> by_first_byte_;
};

}  // namespace gsic

#endif
