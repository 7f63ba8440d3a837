// Choosing the next token from logits.
#ifndef GSIC_SRC_SAMPLER_H
#define GSIC_SRC_SAMPLER_H

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gsic.h"

namespace gsic {

/// A token, and by how much the next best lost against it: the difference of their logits (greedy), or of their
/// logits / temperature + Gumbel noise. 0 at least; infinite where there was no other.
struct Choice {
  int32_t id;
  float margin;
};

/// Temperature, then top-k, then top-p (the fewest most likely tokens whose probability reaches p), then min-p (those
/// whose probability is at least p times the largest). Equal logits are ordered by id, lowest first; temperature 0
/// takes the first.
///
/// A token is drawn by a race: candidate i of weight w_i arrives after E_i / w_i, and the first wins, which it does
/// with probability w_i / sum w (E_i exponential; the same as the largest logit / temperature + Gumbel noise). E_i is a
/// hash of seed, position and i. So the same seed gives the same choices everywhere, and at one position two
/// distributions that are close choose the same token most of the time, which is what makes drafts of sampled text
/// useful.
class Sampler {
 public:
  /// Throws GSIC_INVALID_ARGUMENT for a temperature below 0, or top_p or min_p outside 0 to 1.
  explicit Sampler(const gsic_sampling &options);

  /// Whether `pick` always takes the largest logit, the lowest id among equals.
  bool is_greedy() const { return options_.temperature == 0; }
  /// The token at `position` of the session, from `logits` [count], which are finite; count > 0.
  Choice pick(const float *logits, size_t count, size_t position);

 private:
  struct Candidate {
    int32_t id;
    float logit;
  };

  /// exp((logit - largest) / temperature)
  double weight(float logit) const;
  /// How many of the first `kept` candidates are left, which `total` is the weight of; they are sorted then.
  size_t keep_top_p(size_t kept, double total);
  /// Among `candidates(i)` for i < kept.
  template <class Candidates> Choice race(size_t kept, size_t position, Candidates candidates) const;

  gsic_sampling options_;
  float largest_ = 0;
  std::vector<Candidate> candidates_;
};

/// The first of the largest of `logits` [count], count > 0.
Choice largest(const float *logits, size_t count);

}  // namespace gsic

#endif
