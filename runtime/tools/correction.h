// The low-rank correction A B^T of quantised weights, which is best under the second moment of their input.
#ifndef GSIC_TOOLS_CORRECTION_H
#define GSIC_TOOLS_CORRECTION_H

#include <vector>

#include "quantize.h"
#include "second_moment.h"
#include "thread_pool.h"

namespace gsic {

/// A [rows, k]: row r is scales[r] a[r].
struct CorrectionRows {
  std::vector<int8_t> a;
  std::vector<float> scales;
};

/// Linears that read the same input, stacked: weights [rows, d] and the quantised matrices that stand for them.
struct Stack {
  size_t d = 0;
  std::vector<float> weights;
  std::vector<QuantizedMatrix> matrices;
  /// Of the correction; empty, and k = 0, where there is none.
  QuantizedMatrix b;
  std::vector<CorrectionRows> a;

  size_t rows() const { return weights.size() / d; }
  size_t k() const { return b.rows; }
  /// W - Q of rows `first` to `first + count` - 1 of matrix `index`, [count, d]; without A B^T.
  void residual(size_t index, size_t first, size_t count, float *to) const;
  /// The same less A B^T.
  void error(size_t index, size_t first, size_t count, const std::vector<float> &b_rows, float *to) const;
  const float *row(size_t index, size_t first) const;
};

/// At most kPanelRows rows of one matrix.
struct Panel {
  size_t matrix, first, count;
};

/// All rows of the matrices in panels, in their order.
std::vector<Panel> panels_of(const Stack &stack);

/// The k leading eigenvectors of C, as rows [k, d].
std::vector<double> leading_directions(const SecondMoment &moment, size_t k);

/// The rows S with S^T S = C B (B^T C B)^+ B^T C for B^T [k, d]: what a correction with that B takes out of C.
Projection projection_of(const SecondMoment &moment, const std::vector<double> &b, size_t k);

/// B^T [k, d] of the A B^T that minimises tr((E - A B^T) C (E - A B^T)^T), E = W - Q: k right singular vectors of E L
/// times L^-1, where C = L L^T. By subspace iteration on b -> E^T E C b from `start` [k, d]; needs no factor of C.
std::vector<double> best_directions(ThreadPool &pool, const Stack &stack, const SecondMoment &moment, size_t k,
                                    const std::vector<double> &start);

/// Rounds B^T into stack.b and sets stack.a to the best A for it, rounded.
void set_correction(ThreadPool &pool, Stack &stack, const SecondMoment &moment, const std::vector<double> &b, size_t k);

/// R E for E = W - Q - A B^T stacked and R [p, rows] of signs / sqrt(p) from a seed (as sketch.h's Omega, transposed).
std::vector<float> random_projections(ThreadPool &pool, const Stack &stack, size_t p, uint64_t seed);

}  // namespace gsic

#endif
