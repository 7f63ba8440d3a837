#include "pre_tokenizer.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "normalize.h"
#include "utf8.h"

namespace gsic {
namespace {

struct Cut {
  std::string_view text;
  bool matched;
};

std::vector<Cut> cut(std::string_view text, const PreTokenizer &step, const std::function<void()> &watch) {
  std::vector<Cut> cuts;
  size_t done = 0;
  step.pattern->for_each(text, [&](size_t start, size_t end) {
    watch();
    if (start > done) cuts.push_back({text.substr(done, start - done), step.invert});
    cuts.push_back({text.substr(start, end - start), !step.invert});
    done = end;
  });
  if (done < text.size()) cuts.push_back({text.substr(done), step.invert});
  return cuts;
}

/// Whether a cut belongs to the piece of the cut before it.
bool extends(Behavior behavior, const Cut &before, const Cut &it) {
  switch (behavior) {
    case Behavior::merged_with_previous:
      return it.matched && !before.matched;
    case Behavior::merged_with_next:
      return before.matched && !it.matched;
    case Behavior::contiguous:
      return before.matched == it.matched;
    case Behavior::isolated:
    case Behavior::removed:
      return false;
  }
  return false;
}

/// Adds the pieces that a split makes of one piece.
void split(std::string_view text, const PreTokenizer &step, const std::function<void()> &watch,
           std::vector<std::string> &pieces) {
  const std::vector<Cut> cuts = cut(text, step, watch);
  bool open = false;
  for (size_t i = 0; i < cuts.size(); i++) {
    if (step.behavior == Behavior::removed && cuts[i].matched) continue;
    if (i > 0 && open && extends(step.behavior, cuts[i - 1], cuts[i])) {
      pieces.back() += cuts[i].text;
    } else {
      pieces.emplace_back(cuts[i].text);
      open = true;
    }
  }
}

std::string in_metaspaces(const std::string &piece, bool prepend) {
  std::string text = with_metaspaces(piece);
  return prepend && !starts_with(text, kMetaspace) ? std::string(kMetaspace) + text : text;
}

}  // namespace

void PreTokenizer::apply(std::vector<std::string> &pieces, bool first, const std::function<void()> &watch) const {
  std::vector<std::string> cut_pieces;
  for (size_t i = 0; i < pieces.size(); i++) {
    std::string &piece = pieces[i];
    switch (kind) {
      case Kind::split:
        split(piece, *this, watch, cut_pieces);
        break;
      case Kind::prefix_space:
        cut_pieces.push_back(piece[0] == ' ' ? std::move(piece) : " " + piece);
        break;
      case Kind::metaspace:
        cut_pieces.push_back(
            in_metaspaces(piece, prepend == Prepend::always || (prepend == Prepend::first && first && i == 0)));
        break;
    }
  }
  const auto empty = [](const std::string &piece) { return piece.empty(); };
  cut_pieces.erase(std::remove_if(cut_pieces.begin(), cut_pieces.end(), empty), cut_pieces.end());
  pieces = std::move(cut_pieces);
}

}  // namespace gsic
