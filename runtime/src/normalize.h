// What becomes of text before it is tokenised.
#ifndef GSIC_SRC_NORMALIZE_H
#define GSIC_SRC_NORMALIZE_H

#include <string>
#include <string_view>

namespace gsic {

/// U+2581, which stands for a space in the tokens of sentencepiece.
constexpr std::string_view kMetaspace = "\xe2\x96\x81";

/// The text with metaspaces for its spaces.
std::string with_metaspaces(std::string_view text);

/// Valid UTF-8 in Normalization Form C (Unicode Standard Annex 15). Takes no more than n log n, whatever the text.
std::string to_nfc(std::string_view text);

/// What a tokenizer does to text first: to metaspaces, perhaps with one in front, or to Normalization Form C.
enum class Normalizer { none, metaspace, prepend_metaspace, nfc };

/// Valid UTF-8, normalised; an empty text stays empty.
std::string normalized(Normalizer normalizer, const std::string &text);

}  // namespace gsic

#endif
