#include "added_tokens.h"

#include <algorithm>

#include "utf8.h"

namespace gsic {
namespace {

/// Where the white space at the end of valid UTF-8 begins.
size_t without_trailing_space(std::string_view text) {
  size_t end = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t space = white_space_length(text.substr(at));
    at += space != 0 ? space : utf8_part(text, at).length;
    if (space == 0) end = at;
  }
  return end;
}

/// Length of all the white space at the start of valid UTF-8.
size_t leading_space(std::string_view text) {
  size_t end = 0;
  while (const size_t space = white_space_length(text.substr(end))) end += space;
  return end;
}

/// Whether an offset lies in the bytes from `begin` to before `end`.
bool covers(const std::vector<size_t> *offsets, size_t begin, size_t end) {
  if (offsets == nullptr) return false;
  const auto found = std::lower_bound(offsets->begin(), offsets->end(), begin);
  return found != offsets->end() && *found < end;
}

}  // namespace

void AddedTokens::add(const AddedToken &token) { by_first_byte_[uint8_t(token.content[0])].push_back(token); }

void AddedTokens::finish() {
  const auto longer = [](const AddedToken &a, const AddedToken &b) { return a.content.size() > b.content.size(); };
  for (auto &list : by_first_byte_) std::stable_sort(list.begin(), list.end(), longer);
}

void AddedTokens::split(const TextPart &part, SpecialTokens special, std::vector<TextPart> &parts) const {
  const std::string_view text = part.text;
  size_t done = 0;
  const auto flush = [&](size_t end) {
    if (end > done) parts.push_back({-1, std::string(text.substr(done, end - done)), part.first && done == 0, done});
  };
  for (size_t at = 0; at < text.size();) {
    const AddedToken *token = find(text.substr(at));
    if (token == nullptr) {
      at++;
      continue;
    }
    size_t end = at + token->content.size();
    if (!token->special || (special.parse && !covers(special.literal, at, end))) {
      flush(token->strips_left ? done + without_trailing_space(text.substr(done, at - done)) : at);
      if (token->strips_right) end += leading_space(text.substr(end));
      parts.push_back({token->id, {}, false, at});
      done = end;
    }
    at = end;
  }
  flush(text.size());
}

const AddedToken *AddedTokens::find(std::string_view text) const {
  for (const AddedToken &token : by_first_byte_[uint8_t(text[0])])
    if (starts_with(text, token.content)) return &token;
  return nullptr;
}

}  // namespace gsic
