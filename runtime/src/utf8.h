// UTF-8: the parts of a byte string, white space, and text that arrives in pieces.
#ifndef GSIC_SRC_UTF8_H
#define GSIC_SRC_UTF8_H

#include <cstddef>
#include <string>
#include <string_view>

namespace gsic {

/// What stands at a place of a byte string: `length` bytes that are a character, that could become one if more bytes
/// followed, or that cannot.
struct Utf8Part {
  enum { whole, incomplete, invalid } kind;
  size_t length;
};

/// The part at `at`, which is within the text.
Utf8Part utf8_part(std::string_view text, size_t at);

/// The text, with U+FFFD for each maximal part that is not UTF-8.
std::string to_valid_utf8(std::string_view text);

/// Length of the white space (White_Space of Unicode) at the start of valid UTF-8: 0 if there is none.
size_t white_space_length(std::string_view text);

inline bool starts_with(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

/// Turns bytes that arrive in arbitrary pieces into valid UTF-8: an incomplete character is held back until the rest
/// comes, and each maximal part that cannot be UTF-8 becomes U+FFFD.
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

#endif
