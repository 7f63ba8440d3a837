// Choosing a token as a request asks: the model's logits are adjusted, then a token is sampled.
#ifndef GSIC_SRC_CHOOSER_H
#define GSIC_SRC_CHOOSER_H

#include <cstddef>
#include <cstdint>

#include "adjuster.h"
#include "gsic.h"
#include "past.h"
#include "sampler.h"

namespace gsic {

class Chooser {
 public:
  /// `sampling` and its biases are copied. Throws GSIC_INVALID_ARGUMENT.
  Chooser(const gsic_sampling &sampling, size_t vocabulary)
      : vocabulary_(vocabulary), sampler_(sampling), adjuster_(sampling, vocabulary) {}

  /// Tokens from position `start` on count as generated.
  void begin(size_t start) { adjuster_.begin(start); }
  /// Whether the id of the model's largest logit, the lowest among equals, is all that a choice needs.
  bool takes_largest() const { return sampler_.is_greedy() && adjuster_.idle(); }
  /// The token behind `past` that is chosen from `logits` [vocabulary], which are finite. `mask`: a bit for each token
  /// that may come; null: all.
  Choice pick(const float *logits, const Past &past, const uint32_t *mask = nullptr) {
    return sampler_.pick(adjuster_.adjust(logits, past, mask), vocabulary_, past.length());
  }

 private:
  size_t vocabulary_;
  Sampler sampler_;
  Adjuster adjuster_;
};

}  // namespace gsic

#endif
