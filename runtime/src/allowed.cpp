#include "allowed.h"

#include <algorithm>

#include "error.h"
#include "gsic/abi.h"
#include "token_ids.h"

namespace gsic {

Allowed::Allowed(const gsic_allowed &given, uint32_t vocabulary)
    : generated_(given.generated), words_((size_t(vocabulary) + 31) / 32) {
  // A pass has no room for more.
  const size_t count = std::min<size_t>(given.ahead_count, GSIC_MAX_COLUMNS - 1);
  if (given.masks == nullptr || (given.ahead == nullptr && count > 0))
    throw Error(GSIC_INVALID_ARGUMENT, "masks and ahead must not be null");
  require_ids(given.ahead, count, vocabulary);
  masks_.assign(given.masks, given.masks + (count + 1) * words_);
  ahead_.assign(given.ahead, given.ahead + count);
  // Bits behind the vocabulary are of no token.
  const uint32_t last = vocabulary % 32 == 0 ? UINT32_MAX : (1u << (vocabulary % 32)) - 1;
  for (size_t i = 0; i <= count; i++) {
    const auto begin = masks_.begin() + long(i * words_), end = begin + long(words_);
    end[-1] &= last;
    if (std::all_of(begin, end, [](uint32_t word) { return word == 0; }))
      throw Error(GSIC_INVALID_ARGUMENT, "a mask allows no token",
                  "it must allow one at least, such as the end of text");
  }
}

}  // namespace gsic
