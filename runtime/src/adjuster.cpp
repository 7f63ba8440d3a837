#include "adjuster.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "error.h"

namespace gsic {
namespace {

/// Finite, so that sums and differences stay numbers; no bias reaches it.
constexpr float kNever = -1e30f;

void require_number(bool valid, const char *name, double value, const char *range) {
  if (!valid) throw Error(GSIC_INVALID_ARGUMENT, std::string(name) + " is " + std::to_string(value), range);
}

}  // namespace

Adjuster::Adjuster(const gsic_sampling &sampling, size_t vocabulary)
    : repetition_(sampling.repetition_penalty == 0 ? 1 : sampling.repetition_penalty),
      presence_(sampling.presence_penalty),
      frequency_(sampling.frequency_penalty),
      vocabulary_(vocabulary) {
  require_number(repetition_ > 0 && std::isfinite(repetition_), "repetition_penalty", repetition_,
                 "it must be above 0; 1 changes nothing");
  require_number(std::isfinite(presence_), "presence_penalty", presence_, "it must be a finite number");
  require_number(std::isfinite(frequency_), "frequency_penalty", frequency_, "it must be a finite number");
  if (sampling.bias_count > 0 && sampling.bias == nullptr)
    throw Error(GSIC_INVALID_ARGUMENT, "there are biases, but bias is null");
  for (size_t i = 0; i < sampling.bias_count; i++) {
    const gsic_bias one = sampling.bias[i];
    require_number(one.id >= 0 && size_t(one.id) < vocabulary, "the token id of a bias", one.id,
                   "it must be of the vocabulary");
    require_number(std::isfinite(one.value), "a bias", one.value, "it must be a finite number");
    bias_.push_back(one);
  }
  if (penalises()) counts_.resize(vocabulary);
}

const float *Adjuster::adjust(const float *logits, const Past &past, const uint32_t *mask) {
  if (idle() && mask == nullptr) return logits;
  adjusted_.assign(logits, logits + vocabulary_);
  if (penalises()) {
    follow(past);
    for (const int32_t id : seen_) penalise(id);
    for (const int32_t id : seen_) counts_[size_t(id)].done = false;
  }
  for (const gsic_bias &one : bias_) adjusted_[size_t(one.id)] += one.value;
  if (mask != nullptr) forbid(mask);
  return adjusted_.data();
}

void Adjuster::forbid(const uint32_t *mask) {
  for (size_t id = 0; id < vocabulary_; id++)
    if ((mask[id / 32] >> (id % 32) & 1) == 0) adjusted_[id] = kNever;
}

void Adjuster::follow(const Past &past) {
  size_t alike = 0;
  const size_t most = std::min(seen_.size(), past.length());
  while (alike < most && seen_[alike] == past[alike]) alike++;
  while (seen_.size() > alike) {
    if (seen_.size() > start_) counts_[size_t(seen_.back())].generated--;
    seen_.pop_back();
  }
  while (seen_.size() < past.length()) {
    seen_.push_back(past[seen_.size()]);
    if (seen_.size() > start_) counts_[size_t(seen_.back())].generated++;
  }
}

void Adjuster::penalise(int32_t id) {
  Count &count = counts_[size_t(id)];
  if (count.done) return;
  count.done = true;
  float &logit = adjusted_[size_t(id)];
  logit = logit > 0 ? logit / repetition_ : logit * repetition_;
  if (count.generated > 0) logit -= presence_ + frequency_ * float(count.generated);
}

}  // namespace gsic
