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

/// What a matrix loses: E||(W - Q - A B^T) x||^2 and E||W x||^2; and the divergence of the model's output that the
/// former is predicted to cause, where gradients are known.
struct TierLoss {
  double error = 0;
  double energy = 0;
  double divergence = 0;
  /// ||E x||^2 of every token of the gradients.
  std::vector<double> tokens;
};

/// Inputs X [tokens, d], and by matrix G [tokens, out]: how the log-probabilities of the model's output change with its
/// output, so that an output that is wrong by y at a token costs (G y)^2 / 2 of KL.
struct OutputGradients {
  size_t tokens = 0;
  std::vector<float> inputs;
  std::vector<std::vector<float>> gradients;
};

/// Adds what the rows E [count, d] of a panel do: the sum of (G E x)^2 / 2 over all tokens, and ||E x||^2 of each; the
/// panel's matrix has `out` rows.
void add_divergence(const OutputGradients &known, const Panel &panel, size_t out, const float *e, size_t d,
                    TierLoss &loss);

/// What a stack is quantised under: the first directions of the correction, and the errors' feedback or column weights.
struct TierMetric {
  std::vector<double> directions;
  Feedback feedback;
  std::vector<float> weights;
};

/// Takes the leading directions of C for those of the correction.
TierMetric metric_of(const SecondMoment &moment, const TierSettings &settings);

/// Quantises stack.weights into stack.matrices, whose quantisers and shapes are set, and sets the correction; `metric`
/// is that of the first round. Throws GSIC_INVALID_ARGUMENT where a weight is not finite.
void quantize_stack(ThreadPool &pool, Stack &stack, const SecondMoment &moment, const TierSettings &settings,
                    const TierMetric &metric);

/// By matrix. Energies are computed where they are asked for; divergences, in nats per token and with errors of
/// different outputs and tokens taken as independent, where there are gradients.
std::vector<TierLoss> losses_of(ThreadPool &pool, const Stack &stack, const MomentRoot &root, bool energies,
                                const OutputGradients *gradients);

/// For samples X [n, d]: ||E x||^2 (E = W - Q - A B^T stacked), ||S x||^2 for S, and ||x||^2, one after another, as
/// [3, n].
std::vector<float> sample_errors(ThreadPool &pool, const Stack &stack, const QuantizedMatrix &s,
                                 const std::vector<float> &samples);

}  // namespace gsic

#endif
