// Proposals without a program: what stood behind an earlier place of a text that is like its end.
#ifndef GSIC_SRC_LOOK_UP_H
#define GSIC_SRC_LOOK_UP_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gsic {

/// The fewest tokens that must be alike for a look-up, and the most that are compared.
constexpr size_t kLeastMatch = 2, kMostMatch = 16;

/// The token behind the latest earlier place with the longest common past, and how long that is.
struct Match {
  size_t next = 0, length = 0;
};

inline Match look_up(const std::vector<int32_t> &tokens) {
  Match best;
  const size_t size = tokens.size();
  for (size_t next = size - 1; next > 0 && best.length < kMostMatch; next--) {
    const size_t most = std::min(next, kMostMatch);
    size_t length = 0;
    while (length < most && tokens[next - 1 - length] == tokens[size - 1 - length]) length++;
    if (length > best.length) best = {next, length};
  }
  return best;
}

}  // namespace gsic

#endif
