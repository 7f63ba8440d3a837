#include "utf8.h"

#include <array>

namespace gsic {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

/// White space beyond ASCII.
constexpr std::array<std::string_view, 19> kWhiteSpace = {
    "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82", "\xe2\x80\x83",
    "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86", "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a",
    "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};

}  // namespace

Utf8Part utf8_part(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(at);
  if (lead < 0x80) return {Utf8Part::whole, 1};
  if (lead < 0xc2 || lead > 0xf4) return {Utf8Part::invalid, 1};
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  for (size_t i = 1; i < length; i++) {
    if (at + i >= text.size()) return {Utf8Part::incomplete, i};
    unsigned low = 0x80, high = 0xbf;
    if (i == 1) {  // no overlong forms, no surrogates, nothing above U+10FFFF
      if (lead == 0xe0) low = 0xa0;
      if (lead == 0xed) high = 0x9f;
      if (lead == 0xf0) low = 0x90;
      if (lead == 0xf4) high = 0x8f;
    }
    if (byte(at + i) < low || byte(at + i) > high) return {Utf8Part::invalid, i};
  }
  return {Utf8Part::whole, length};
}

std::string to_valid_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Part part = utf8_part(text, at);
    valid += part.kind == Utf8Part::whole ? text.substr(at, part.length) : kReplacement;
    at += part.length;
  }
  return valid;
}

size_t white_space_length(std::string_view text) {
  if (text.empty()) return 0;
  if (text[0] == ' ' || (text[0] >= 9 && text[0] <= 13)) return 1;
  for (const std::string_view space : kWhiteSpace)
    if (starts_with(text, space)) return space.size();
  return 0;
}

std::string Utf8Stream::push(std::string_view bytes) {
  held_ += bytes;
  std::string shown;
  size_t at = 0;
  while (at < held_.size()) {
    const Utf8Part part = utf8_part(held_, at);
    if (part.kind == Utf8Part::incomplete) break;
    shown += part.kind == Utf8Part::whole ? std::string_view(held_).substr(at, part.length) : kReplacement;
    at += part.length;
  }
  held_.erase(0, at);
  return shown;
}

std::string Utf8Stream::finish() {
  const bool any = !held_.empty();
  held_.clear();
  return any ? std::string(kReplacement) : std::string();
}

}  // namespace gsic
