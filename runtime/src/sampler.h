// Choosing the next token from logits.
#ifndef GSIC_SRC_SAMPLER_H
#define GSIC_SRC_SAMPLER_H

#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "gsic.h"

namespace gsic {

/// Temperature, then top-k, then top-p (the fewest most likely tokens whose probability reaches p). Equal logits are
/// ordered by id, lowest first; temperature 0 takes the first. The same seed gives the same choices everywhere.
class Sampler {
 public:
  /// Throws GSIC_INVALID_ARGUMENT for a temperature below 0, or top_p outside 0 to 1.
  explicit Sampler(const gsic_sampling &options);

  /// Whether `pick` always takes the largest logit, the lowest id among equals.
  bool is_greedy() const { return options_.temperature == 0; }
  /// The token chosen from `logits` [count], which are finite.
  int32_t pick(const float *logits, size_t count);

 private:
  struct Candidate {
    int32_t id;
    float logit;
    double weight;  ///< exp((logit - largest) / temperature)
  };

  /// The next number from [0, 1), of 53 bits.
  double uniform() { return double(generator_() >> 11) * 0x1p-53; }
  void gather(const float *logits, size_t count);
  size_t keep_top_k();
  size_t keep_top_p(size_t kept);

  gsic_sampling options_;
  std::mt19937_64 generator_;
  std::vector<Candidate> candidates_;
};

}  // namespace gsic

#endif
