#include "sampler.h"

#include <algorithm>
#include <cmath>

#include "error.h"

namespace gsic {

Sampler::Sampler(const gsic_sampling &options) : options_(options), generator_(options.seed) {
  if (!(options.temperature >= 0) || std::isinf(options.temperature))
    throw Error(GSIC_INVALID_ARGUMENT, "the temperature is " + std::to_string(options.temperature) +
                                           "; it must be 0 (greedy) or above");
  if (!(options.top_p >= 0 && options.top_p <= 1))
    throw Error(GSIC_INVALID_ARGUMENT, "top_p is " + std::to_string(options.top_p) + "; it must be from 0 to 1");
}

int32_t Sampler::pick(const float *logits, size_t count) {
  if (options_.temperature == 0) return int32_t(std::max_element(logits, logits + count) - logits);
  gather(logits, count);
  const size_t kept = keep_top_p(keep_top_k());
  double total = 0;
  for (size_t i = 0; i < kept; i++) total += candidates_[i].weight;
  const double threshold = uniform() * total;
  double reached = 0;
  for (size_t i = 0; i < kept; i++) {
    reached += candidates_[i].weight;
    if (reached > threshold) return candidates_[i].id;
  }
  return candidates_[kept - 1].id;
}

void Sampler::gather(const float *logits, size_t count) {
  const float largest = *std::max_element(logits, logits + count);
  candidates_.resize(count);
  for (size_t i = 0; i < count; i++) {
    const double weight = std::exp((double(logits[i]) - largest) / options_.temperature);
    candidates_[i] = {int32_t(i), logits[i], weight};
  }
}

namespace {

/// The order of candidates: most likely first, then lowest id.
constexpr auto before = [](const auto &a, const auto &b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
};

}  // namespace

size_t Sampler::keep_top_k() {
  const size_t count = candidates_.size();
  if (options_.top_k == 0 || options_.top_k >= count) return count;
  std::partial_sort(candidates_.begin(), candidates_.begin() + options_.top_k, candidates_.end(), before);
  return options_.top_k;
}

size_t Sampler::keep_top_p(size_t kept) {
  if (options_.top_p == 0 || options_.top_p == 1) return kept;
  double total = 0, reached = 0;
  for (size_t i = 0; i < kept; i++) total += candidates_[i].weight;
  // Few tokens hold most of the probability: sort only as many as are needed, in growing steps.
  for (size_t sorted = 0, step = 64; sorted < kept; step *= 4) {
    const size_t end = std::min(kept, sorted + step);
    std::partial_sort(candidates_.begin() + sorted, candidates_.begin() + end, candidates_.begin() + kept, before);
    for (; sorted < end; sorted++) {
      reached += candidates_[sorted].weight;
      if (reached >= double(options_.top_p) * total) return sorted + 1;
    }
  }
  return kept;
}

}  // namespace gsic
