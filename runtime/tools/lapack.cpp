#include "lapack.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "error.h"

// LAPACK's own interface, as OpenBLAS exports it; arrays are column-major.
extern "C" {
void dsyevr_(const char *jobz, const char *range, const char *uplo, const int *n, double *a, const int *lda,
             const double *vl, const double *vu, const int *il, const int *iu, const double *abstol, int *m, double *w,
             double *z, const int *ldz, int *isuppz, double *work, const int *lwork, int *iwork, const int *liwork,
             int *info);
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);
}

namespace gsic {

Eigen largest_eigen(std::vector<double> &matrix, size_t d, size_t k) {
  const int n = int(d), first = int(d - k + 1), work_query = -1;
  const double unused = 0, tolerance = 0;
  int found = 0, info = 0, iwork_size = 0;
  double work_size = 0;
  std::vector<double> values(d), vectors(k * d);
  std::vector<int> support(2 * k);
  const auto solve = [&](double *work, const int *lwork, int *iwork, const int *liwork) {
    dsyevr_("V", "I", "U", &n, matrix.data(), &n, &unused, &unused, &first, &n, &tolerance, &found, values.data(),
            vectors.data(), &n, support.data(), work, lwork, iwork, liwork, &info);
  };
  solve(&work_size, &work_query, &iwork_size, &work_query);
  const int lwork = int(work_size);
  std::vector<double> work(static_cast<size_t>(lwork));
  std::vector<int> iwork(static_cast<size_t>(iwork_size));
  solve(work.data(), &lwork, iwork.data(), &iwork_size);
  if (info != 0 || found != int(k))
    throw Error(GSIC_INTERNAL, "LAPACK's dsyevr gave up on a matrix of " + std::to_string(d) + " rows: info " +
                                   std::to_string(info));
  Eigen result;  // LAPACK's order is ascending; a column of its result is a row of ours
  for (size_t i = k; i-- > 0;) {
    result.values.push_back(values[i]);
    result.vectors.insert(result.vectors.end(), vectors.begin() + i * d, vectors.begin() + (i + 1) * d);
  }
  return result;
}

Eigen nystrom_eigen(const std::vector<double> &omega, std::vector<double> &y, size_t d, size_t l, size_t k) {
  const int rows = int(d), width = int(l);
  const double norm = cblas_dnrm2(int(d * l), y.data(), 1);
  // Y may come from f32: the shift must lie above its rounding.
  const double shift = std::sqrt(double(d)) * std::numeric_limits<float>::epsilon() * norm;
  cblas_daxpy(int(d * l), shift, omega.data(), 1, y.data(), 1);
  std::vector<double> inner(l * l), gram(l * l);
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, width, width, rows, 1, omega.data(), width, y.data(), width, 0,
              inner.data(), width);
  for (size_t i = 0; i < l; i++)
    for (size_t j = 0; j < i; j++)
      inner[i * l + j] = inner[j * l + i] = (inner[i * l + j] + inner[j * l + i]) / 2;
  int info = 0;
  dpotrf_("L", &width, inner.data(), &width, &info);  // column-major lower = row-major upper: inner = R^T R
  if (info != 0)
    throw Error(GSIC_INVALID_ARGUMENT, "nystrom: Omega^T Y is not positive definite (minor " + std::to_string(info) +
                                           "); the sketch is damaged, or has too few tokens");
  // F = Y R^-1, so that C ~= F F^T; F^T F = U S^2 U^T gives C's eigenvectors as F U / S.
  cblas_dtrsm(CblasRowMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit, rows, width, 1, inner.data(), width,
              y.data(), width);
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, width, width, rows, 1, y.data(), width, y.data(), width, 0,
              gram.data(), width);
  const Eigen small = largest_eigen(gram, l, k);
  Eigen result;
  result.vectors.resize(k * d);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(k), rows, width, 1, small.vectors.data(), width, y.data(),
              width, 0, result.vectors.data(), rows);
  for (size_t i = 0; i < k; i++) {
    result.values.push_back(std::max(0.0, small.values[i] - shift));
    const double length = cblas_dnrm2(rows, result.vectors.data() + i * d, 1);
    if (length > 0) cblas_dscal(rows, 1 / length, result.vectors.data() + i * d, 1);
  }
  return result;
}

}  // namespace gsic
