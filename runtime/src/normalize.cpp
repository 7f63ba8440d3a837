#include "normalize.h"

#define UTF8PROC_STATIC
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace gsic {
namespace {

constexpr auto kOptions = utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
/// The longest canonical decomposition of a code point has four.
constexpr size_t kMostParts = 16;

[[noreturn]] void cannot_normalize(utf8proc_ssize_t error) {
  throw std::runtime_error(std::string("tokenizer: text cannot be normalised: ") + utf8proc_errmsg(error));
}

/// Whether no code point is beyond U+02FF: below U+0300 nothing composes with what precedes it.
bool is_surely_nfc(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char byte) { return uint8_t(byte) < 0xcc; });
}

int combining_class(utf8proc_int32_t character) { return utf8proc_get_property(character)->combining_class; }

/// Canonical decomposition, unordered.
std::vector<utf8proc_int32_t> decomposed(std::string_view text) {
  std::vector<utf8proc_int32_t> result;
  result.reserve(text.size());
  const auto *bytes = reinterpret_cast<const utf8proc_uint8_t *>(text.data());
  const auto size = utf8proc_ssize_t(text.size());
  for (utf8proc_ssize_t at = 0; at < size;) {
    utf8proc_int32_t character = 0;
    const utf8proc_ssize_t length = utf8proc_iterate(bytes + at, size - at, &character);
    if (length <= 0) throw std::runtime_error("tokenizer: text to be normalised is not UTF-8");
    at += length;
    std::array<utf8proc_int32_t, kMostParts> parts;
    int boundary = 0;
    const utf8proc_ssize_t count = utf8proc_decompose_char(character, parts.data(), kMostParts, kOptions, &boundary);
    if (count < 0 || count > utf8proc_ssize_t(kMostParts)) cannot_normalize(count);
    result.insert(result.end(), parts.begin(), parts.begin() + count);
  }
  return result;
}

/// Puts every run of combining marks in order. utf8proc's own sorting takes the square of a run's length.
void order_marks(std::vector<utf8proc_int32_t> &characters) {
  const auto is_mark = [](utf8proc_int32_t character) { return combining_class(character) != 0; };
  for (auto at = characters.begin(); at != characters.end();) {
    const auto begin = std::find_if(at, characters.end(), is_mark);
    at = std::find_if_not(begin, characters.end(), is_mark);
    std::stable_sort(begin, at, [](auto left, auto right) { return combining_class(left) < combining_class(right); });
  }
}

}  // namespace

std::string with_metaspaces(std::string_view text) {
  std::string result;
  result.reserve(text.size() + kMetaspace.size());
  for (const char character : text) {
    if (character == ' ')
      result += kMetaspace;
    else
      result += character;
  }
  return result;
}

std::string to_nfc(std::string_view text) {
  if (is_surely_nfc(text)) return std::string(text);
  std::vector<utf8proc_int32_t> characters = decomposed(text);
  order_marks(characters);
  const auto length = utf8proc_ssize_t(characters.size());
  const utf8proc_ssize_t composed = utf8proc_normalize_utf32(characters.data(), length, kOptions);
  if (composed < 0) cannot_normalize(composed);
  std::string result;
  result.reserve(text.size());
  for (utf8proc_ssize_t at = 0; at < composed; at++) {
    std::array<utf8proc_uint8_t, 4> bytes;
    const utf8proc_ssize_t size = utf8proc_encode_char(characters[size_t(at)], bytes.data());
    result.append(reinterpret_cast<const char *>(bytes.data()), size_t(size));
  }
  return result;
}

std::string normalized(Normalizer normalizer, const std::string &text) {
  if (text.empty()) return text;
  switch (normalizer) {
    case Normalizer::none:
      return text;
    case Normalizer::metaspace:
      return with_metaspaces(text);
    case Normalizer::prepend_metaspace:
      return std::string(kMetaspace) + with_metaspaces(text);
    case Normalizer::nfc:
      return to_nfc(text);
  }
  return text;
}

}  // namespace gsic
