// Unicode normalisation of text before it is tokenised.
#pragma once

#include <string>
#include <string_view>

namespace gsic {

/// Valid UTF-8 in Normalization Form C (Unicode Standard Annex 15). Takes no more than n log n, whatever the text.
std::string to_nfc(std::string_view text);

}  // namespace gsic
