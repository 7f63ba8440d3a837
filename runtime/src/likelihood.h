// How likely tokens are by the model itself: log-probabilities of its logits, whatever they are sampled by.
#ifndef GSIC_SRC_LIKELIHOOD_H
#define GSIC_SRC_LIKELIHOOD_H

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gsic.h"

namespace gsic {

/// log softmax of the logits of one token: log p_i = logit_i - log(sum of exp(logit_j)), to about six digits.
class Likelihood {
 public:
  /// `logits` [count], which are finite and live as long as this; count > 0.
  Likelihood(const float *logits, size_t count);

  float of(int32_t id) const { return float(double(logits_[id]) - log_total_); }
  /// Writes the `most` likeliest tokens (fewer where there are not so many) to `top`, likeliest first, the lowest id
  /// among equals; how many.
  size_t top(gsic_alternative *top, size_t most) const;

 private:
  const float *logits_;
  size_t count_;
  double log_total_;
};

}  // namespace gsic

#endif
