// Error feedback: what the columns that were rounded already lost is made good by those that are still to be.
#ifndef GSIC_TOOLS_FEEDBACK_H
#define GSIC_TOOLS_FEEDBACK_H

#include <vector>

#include "second_moment.h"

namespace gsic {

/// Columns of one block; a group of a quantiser never crosses its border.
constexpr size_t kFeedbackBlock = 128;

/// The factors of a metric H = L diag(weights) L^T, L unit lower triangular. The error of one row, e H e^T, is the sum
/// of weights[j] (e_j + sum_{i>j} e_i L_ij)^2: columns are rounded from the last to the first, each towards w_j +
/// sum_{i>j} e_i L_ij. (Frantar et al. 2022, arXiv 2210.17323; as LDLQ in Chee et al. 2023, arXiv 2307.13304.)
struct Feedback {
  size_t d = 0;
  /// What was added to the diagonal of C - S^T S.
  double ridge = 0;
  std::vector<float> weights;
  /// L within its block: row j holds L[j, b] to L[j, b + kFeedbackBlock - 1] for the block's first column b.
  std::vector<float> band;
  /// L [d, d]; or empty where L_ij is the product of row i of left and row j of right for i > j, both [d, rank].
  std::vector<float> lower;
  std::vector<float> left;
  std::vector<float> right;
  size_t rank = 0;
};

/// What is taken out of C: C - S^T S for the rows of S [k, d].
struct Projection {
  size_t k = 0;
  std::vector<double> rows;
};

/// Of H = C - S^T S + damping mean(diagonal) I; damping grows where that is not positive definite. Throws
/// GSIC_INVALID_ARGUMENT where it never is.
Feedback feedback_of(const SecondMoment &moment, const Projection &projection, double damping);

/// The diagonal of C - S^T S, clamped to be positive or zero.
std::vector<double> projected_diagonal(const SecondMoment &moment, const Projection &projection);

/// Adds to `x` [rows, last - first] what the errors of columns from `last` on say for columns `first` to `last` - 1.
/// `errors` is [rows, d]. `state` [rows, rank] sums up errors where L is kept as left and right, and is zero in the
/// beginning.
void add_feedback(const Feedback &feedback, const float *errors, const float *state, size_t rows, size_t first,
                  size_t last, float *x);

/// Takes the errors of columns `first` to `last` - 1 into `state`.
void take_errors(const Feedback &feedback, const float *errors, size_t rows, size_t first, size_t last, float *state);

}  // namespace gsic

#endif
