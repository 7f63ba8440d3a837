// What a request changes in the logits before a token is chosen: penalties for tokens that stand in the text, biases,
// and what may not come.
#ifndef GSIC_SRC_ADJUSTER_H
#define GSIC_SRC_ADJUSTER_H

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gsic.h"
#include "past.h"

namespace gsic {

/// In this order: the repetition penalty divides a positive logit of a token of the text, and multiplies a negative one
/// (Keskar et al., 2019); a generated token loses presence_penalty, and frequency_penalty for each time that it was
/// generated (OpenAI's); each bias is added; what a mask
/// forbids is never chosen.
class Adjuster {
 public:
  /// `sampling` and its biases are copied. Throws GSIC_INVALID_ARGUMENT.
  Adjuster(const gsic_sampling &sampling, size_t vocabulary);

  /// Whether logits stay as they are.
  bool idle() const { return !penalises() && bias_.empty(); }
  /// Tokens from position `start` on count as generated.
  void begin(size_t start) { start_ = start; }
  /// `logits` [vocabulary], adjusted; valid until the next call. `mask`: a bit for each token that may come; null: all.
  const float *adjust(const float *logits, const Past &past, const uint32_t *mask = nullptr);

 private:
  bool penalises() const { return repetition_ != 1 || presence_ != 0 || frequency_ != 0; }
  /// Makes the counts those of `past`.
  void follow(const Past &past);
  void penalise(int32_t id);
  void forbid(const uint32_t *mask);

  /// Of a token in the text.
  struct Count {
    uint32_t generated = 0;
    bool done = false;  ///< while penalties are made
  };

  float repetition_, presence_, frequency_;
  std::vector<gsic_bias> bias_;
  size_t vocabulary_, start_ = 0;
  std::vector<int32_t> seen_;  ///< the past that is counted
  std::vector<Count> counts_;  ///< [vocabulary]; empty without penalties
  std::vector<float> adjusted_;
};

}  // namespace gsic

#endif
