// Dense linear algebra in double precision; matrices are row-major.
#ifndef GSIC_TOOLS_LAPACK_H
#define GSIC_TOOLS_LAPACK_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gsic {

/// Eigenvalues, largest first, and their eigenvectors as rows [k, d].
struct Eigen {
  std::vector<double> values;
  std::vector<double> vectors;
};

/// The k largest eigenvalues of a symmetric [d, d], which is overwritten. Throws GSIC_INTERNAL where LAPACK gives up.
Eigen largest_eigen(std::vector<double> &matrix, size_t d, size_t k);

/// The k largest eigenvalues of C ~= Y (Omega^T Y)^-1 Y^T with Y = C Omega [d, l], which is overwritten; k <= l, and
/// Omega as `fill_omega` makes it. The shifted form of Tropp, Yurtsever, Udell and Cevher 2017, "Fixed-rank
/// approximation of a positive-semidefinite matrix from streaming data" (arXiv 1706.05736), algorithm 3. Throws
/// GSIC_INVALID_ARGUMENT where Omega^T Y is not positive definite, that is, where Y is no product of a covariance
/// with Omega.
Eigen nystrom_eigen(uint64_t seed, std::vector<double> &y, size_t d, size_t l, size_t k);

/// Y = C Omega, [d, l], for a symmetric C [d, d].
std::vector<double> sketch_of(const std::vector<double> &matrix, uint64_t seed, size_t d, size_t l);

/// v^T C v for every row v of `vectors` [k, d].
std::vector<double> captured_energy(const std::vector<double> &matrix, const std::vector<double> &vectors, size_t d,
                                    size_t k);

/// L of the Cholesky factorisation L L^T of a symmetric [n, n] of which the lower triangle counts, in that triangle;
/// false where it is not positive definite, and then the matrix is damaged.
bool lower_cholesky(std::vector<double> &matrix, size_t n);

/// Throws GSIC_INTERNAL unless the rows of `vectors` [k, d] are orthonormal, to 1e-6 in every product of two.
void require_orthonormal(const std::vector<double> &vectors, size_t d, size_t k);

}  // namespace gsic

#endif
