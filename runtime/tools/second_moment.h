// The second moment C = E[x x^T] of a linear's input, as it was collected: whole, or from a sketch.
#ifndef GSIC_TOOLS_SECOND_MOMENT_H
#define GSIC_TOOLS_SECOND_MOMENT_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gsic {

/// C [d, d], symmetric and positive semidefinite: either `matrix`, row-major, or F F^T + remainder I with F = `factor`
/// [d, rank]. In double; products run on the calling thread.
struct SecondMoment {
  size_t d = 0;
  std::vector<double> matrix;
  std::vector<double> factor;
  size_t rank = 0;
  double remainder = 0;

  bool dense() const { return !matrix.empty(); }
  /// B C for the rows of B [p, d].
  std::vector<double> times(const std::vector<double> &rows, size_t p) const;
  std::vector<double> diagonal() const;
};

/// What tr(E C E^T) is computed by in f32: C ~= R R^T + remainder I with R [d, rank], lower triangular where C is kept
/// whole. Errors avoid the directions in which C is large, so that E C E^T itself would cancel in f32; the squares of E
/// R do not.
struct MomentRoot {
  size_t d = 0;
  size_t rank = 0;
  bool triangular = false;
  std::vector<float> rows;
  double remainder = 0;

  /// The sum of e C e^T over the rows e of [n, d].
  double energy(const float *errors, size_t n) const;
};

/// Throws GSIC_INVALID_ARGUMENT where C is not positive semidefinite.
MomentRoot root_of(const SecondMoment &moment);

/// From C itself. Throws GSIC_INVALID_ARGUMENT where a value is not finite.
SecondMoment exact_moment(const std::vector<float> &matrix, size_t d);

/// From a Nystrom sketch Y = C Omega [d, l]: its l eigenpairs, and what they leave of E||x||^2 spread evenly over all
/// directions. Throws as `nystrom_eigen`.
SecondMoment sketched_moment(const std::vector<float> &product, size_t d, size_t l, uint64_t seed,
                             double mean_squared_norm);

}  // namespace gsic

#endif
