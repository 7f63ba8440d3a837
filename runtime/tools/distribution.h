// A row of logits as a distribution over the vocabulary, in float64.
#ifndef GSIC_TOOLS_DISTRIBUTION_H
#define GSIC_TOOLS_DISTRIBUTION_H

#include <cstddef>
#include <vector>

namespace gsic {

/// log p_i = logits_i - log_sum, p_i = powers_i / total.
struct Distribution {
  /// `row`, which stays where it is, has `count` logits.
  Distribution(const float *row, size_t count);
  double log_probability(size_t i) const { return logits[i] - log_sum; }

  const float *logits;
  size_t top;
  std::vector<double> powers;
  double total;
  double log_sum;
};

/// KL(p || q) = sum p (log p - log q), in nats, of two distributions over `count` tokens.
double divergence(const Distribution &p, const Distribution &q, size_t count);

}  // namespace gsic

#endif
