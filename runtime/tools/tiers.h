// The weights of tiered linears that read the same input: quantised, corrected, and what they lose.
#ifndef GSIC_TOOLS_TIERS_H
#define GSIC_TOOLS_TIERS_H

#include <vector>

#include "correction.h"

namespace gsic {

struct TierSettings {
  /// Rank of the correction; 0: none.
  size_t k = 0;
  bool search = true;
  bool feedback = true;
  /// The share of the mean of the metric's diagonal that is added to it, for feedback.
  double damping = 0.1;
  /// How many times the weights are quantised and then the correction is fitted to them.
  size_t rounds = 1;
};

/// Of one matrix: E||(W - Q - A B^T) x||^2 and E||W x||^2.
struct TierLoss {
  double error = 0;
  double energy = 0;
};

/// Quantises stack.weights into stack.matrices, whose quantisers and shapes are set, and sets the correction. The first
/// round takes the leading directions of C for those of the correction. Throws GSIC_INVALID_ARGUMENT where a weight is
/// not finite.
void quantize_stack(ThreadPool &pool, Stack &stack, const SecondMoment &moment, const TierSettings &settings);

std::vector<TierLoss> losses_of(ThreadPool &pool, const Stack &stack, const SecondMoment &moment);

/// For samples X [n, d]: ||E x||^2 (E = W - Q - A B^T stacked), ||S x||^2 for S, and ||x||^2, one after another, as
/// [3, n].
std::vector<float> sample_errors(ThreadPool &pool, const Stack &stack, const QuantizedMatrix &s,
                                 const std::vector<float> &samples);

}  // namespace gsic

#endif
