// What cuts a text into pieces that are tokenised by themselves.
#ifndef GSIC_SRC_PRE_TOKENIZER_H
#define GSIC_SRC_PRE_TOKENIZER_H

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tokenizer_pattern.h"

namespace gsic {

/// What becomes of a match of a pattern, as in Hugging Face's tokenizers.
enum class Behavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };

/// One step: it makes pieces of pieces.
struct PreTokenizer {
  enum class Kind { split, prefix_space, metaspace } kind = Kind::split;
  /// Of a split: what happens to a match; with `invert`, to what lies between matches.
  Behavior behavior = Behavior::isolated;
  bool invert = false;
  std::unique_ptr<Pattern> pattern;
  /// Of metaspace: which pieces get one in front, `first` only the one that begins the text.
  enum class Prepend { never, first, always } prepend = Prepend::never;

  /// Cuts each of `pieces`, none of which is empty, and leaves none empty. `first`: whether they begin the text. Calls
  /// `watch` again and again, which may throw.
  void apply(std::vector<std::string> &pieces, bool first, const std::function<void()> &watch) const;
};

}  // namespace gsic

#endif
