#include "vocabulary.h"

#include <utility>

#include "normalize.h"

namespace gsic {
namespace {

/// How the token of a byte is spelled.
std::string name_of(uint8_t byte, bool metaspace) {
  static constexpr char digits[] = "0123456789ABCDEF";
  if (!metaspace) return std::string(1, char(byte));
  return std::string("<0x") + digits[byte >> 4] + digits[byte & 15] + ">";
}

std::string with_spaces(std::string_view text) {
  std::string result;
  for (size_t at = text.find(kMetaspace); at != text.npos; at = text.find(kMetaspace)) {
    result.append(text.substr(0, at)).append(" ");
    text.remove_prefix(at + kMetaspace.size());
  }
  return result.append(text);
}

}  // namespace

std::string_view TokenTexts::at(size_t id) const {
  const uint32_t start = id == 0 ? 0 : ends[id - 1];
  return std::string_view(bytes).substr(start, ends[id] - start);
}

void TokenTexts::add(std::string_view text) {
  bytes += text;
  ends.push_back(uint32_t(bytes.size()));
}

Vocabulary::Vocabulary(TokenTexts stored, const uint8_t *ordinary, Spelling spelling) : stored_(std::move(stored)) {
  ids_.reserve(size());
  for (size_t id = 0; id < size(); id++)
    if (ordinary[id] != 0 && !stored_.at(id).empty()) ids_.emplace(stored_.at(id), int32_t(id));
  std::unordered_map<size_t, char> bytes;
  for (unsigned byte = 0; byte < 256; byte++) {
    const int32_t id = find(name_of(uint8_t(byte), spelling.metaspace));
    byte_tokens_[byte] = id;
    if (id >= 0 && spelling.metaspace && spelling.byte_fallback) bytes.emplace(size_t(id), char(byte));
  }
  shown_.ends.reserve(size());
  for (size_t id = 0; id < size(); id++) {
    const auto byte = bytes.find(id);
    if (byte != bytes.end())
      shown_.add({&byte->second, 1});
    else if (spelling.metaspace)
      shown_.add(with_spaces(stored_.at(id)));
    else
      shown_.add(stored_.at(id));
  }
}

int32_t Vocabulary::find(std::string_view text) const {
  const auto found = ids_.find(text);
  return found == ids_.end() ? -1 : found->second;
}

}  // namespace gsic
