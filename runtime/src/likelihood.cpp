#include "likelihood.h"

#include <algorithm>
#include <cmath>

#include "scan.h"

namespace gsic {

Likelihood::Likelihood(const float *logits, size_t count) : logits_(logits), count_(count) {
  const float largest = top_two(logits, count).first;
  log_total_ = largest + std::log(sum_of_weights(logits, count, largest, 1));
}

size_t Likelihood::top(gsic_alternative *top, size_t most) const {
  const auto before = [this](int32_t a, int32_t b) {
    return logits_[a] > logits_[b] || (logits_[a] == logits_[b] && a < b);
  };
  // A heap of the best so far, the worst of them on top: most tokens cost one comparison.
  std::vector<int32_t> best;
  const size_t kept = std::min(most, count_);
  for (size_t i = 0; i < count_ && kept > 0; i++) {
    const int32_t id = int32_t(i);
    if (best.size() == kept) {
      if (!before(id, best.front())) continue;
      std::pop_heap(best.begin(), best.end(), before);
      best.pop_back();
    }
    best.push_back(id);
    std::push_heap(best.begin(), best.end(), before);
  }
  std::sort_heap(best.begin(), best.end(), before);
  for (size_t i = 0; i < kept; i++) top[i] = {best[i], of(best[i])};
  return kept;
}

}  // namespace gsic
