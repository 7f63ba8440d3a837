// Dense linear algebra in double precision; matrices are row-major.
#ifndef GSIC_TOOLS_LAPACK_H
#define GSIC_TOOLS_LAPACK_H

#include <cstddef>
#include <vector>

namespace gsic {

/// Eigenvalues, largest first, and their eigenvectors as rows [k, d].
struct Eigen {
  std::vector<double> values;
  std::vector<double> vectors;
};

/// The k largest eigenvalues of a symmetric [d, d], which is overwritten. Throws GSIC_INTERNAL where LAPACK gives up.
Eigen largest_eigen(std::vector<double> &matrix, size_t d, size_t k);

/// The k largest eigenvalues of C ~= Y (Omega^T Y)^-1 Y^T with Y = C Omega; both [d, l], k <= l. The shifted form of
/// Tropp, Yurtsever, Udell and Cevher 2017 (arXiv 1706.05736), algorithm 3. Throws GSIC_INVALID_ARGUMENT where
/// Omega^T Y is not positive definite, that is, where Y is no product of a covariance with Omega.
Eigen nystrom_eigen(const std::vector<double> &omega, std::vector<double> &y, size_t d, size_t l, size_t k);

}  // namespace gsic

#endif
