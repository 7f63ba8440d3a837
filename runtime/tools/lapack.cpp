#include "lapack.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "error.h"
#include "sketch.h"

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
    throw Error(GSIC_INTERNAL,
                "LAPACK's dsyevr gave up on a matrix of " + std::to_string(d) + " rows: info " + std::to_string(info));
  Eigen result;  // LAPACK's order is ascending; a column of its result is a row of ours
  for (size_t i = k; i-- > 0;) {
    result.values.push_back(values[i]);
    result.vectors.insert(result.vectors.end(), vectors.begin() + i * d, vectors.begin() + (i + 1) * d);
  }
  return result;
}

namespace {

/// Calls `use(first, rows, omega)` for slabs of Omega [d, l], so that it is never held whole.
template <typename Use> void each_sketch_slab(uint64_t seed, size_t d, size_t l, const Use &use) {
  constexpr size_t kSlab = 512;
  std::vector<double> omega(kSlab * l);
  for (size_t first = 0; first < d; first += kSlab) {
    const size_t rows = std::min(kSlab, d - first);
    fill_omega(seed, first, rows, l, omega.data());
    use(first, rows, omega.data());
  }
}

/// R of the Cholesky factorisation R^T R of a symmetric [n, n], in its upper triangle; false where it is not definite.
bool cholesky(std::vector<double> &matrix, size_t n) {
  const int size = int(n);
  int info = 0;
  dpotrf_("L", &size, matrix.data(), &size, &info);  // column-major lower = row-major upper
  return info == 0;
}

/// A A^T of the rows of A [k, d].
std::vector<double> row_products(const std::vector<double> &a, size_t d, size_t k) {
  std::vector<double> gram(k * k);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(k), int(k), int(d), 1, a.data(), int(d), a.data(), int(d), 0,
              gram.data(), int(k));
  return gram;
}

/// Makes nearly orthonormal rows orthonormal, each within the span of those before it: V <- R^-T V.
void polish(std::vector<double> &vectors, size_t d, size_t k) {
  std::vector<double> gram = row_products(vectors, d, k);
  if (!cholesky(gram, k)) throw Error(GSIC_INTERNAL, "the eigenvectors of a sketch are linearly dependent");
  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasTrans, CblasNonUnit, int(k), int(d), 1, gram.data(), int(k),
              vectors.data(), int(d));
}

/// Omega^T (Y + shift Omega), made symmetric: [l, l].
std::vector<double> core_of(uint64_t seed, const std::vector<double> &y, size_t d, size_t l, double shift) {
  std::vector<double> core(l * l);
  const int width = int(l);
  each_sketch_slab(seed, d, l, [&](size_t first, size_t rows, double *omega) {
    std::vector<double> shifted(y.begin() + long(first * l), y.begin() + long((first + rows) * l));
    cblas_daxpy(int(rows * l), shift, omega, 1, shifted.data(), 1);
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, width, width, int(rows), 1, omega, width, shifted.data(),
                width, 1, core.data(), width);
  });
  for (size_t i = 0; i < l; i++)
    for (size_t j = 0; j < i; j++) core[i * l + j] = core[j * l + i] = (core[i * l + j] + core[j * l + i]) / 2;
  return core;
}

}  // namespace

Eigen nystrom_eigen(uint64_t seed, std::vector<double> &y, size_t d, size_t l, size_t k) {
  const int rows = int(d), width = int(l);
  const double norm = cblas_dnrm2(int(d * l), y.data(), 1);
  // The shift must lie above the rounding of Y, which comes from f32, and no higher: what it adds in every direction
  // hides what C has there. The rounding's spectral norm is about eps ||Y||_F / sqrt(l), and Omega's sqrt(d).
  double shift = std::numeric_limits<float>::epsilon() * norm / std::sqrt(double(d) * double(l));
  std::vector<double> core = core_of(seed, y, d, l, shift);
  for (int attempt = 0; !cholesky(core, l); attempt++) {
    if (attempt == 8 || norm == 0)
      throw Error(GSIC_INVALID_ARGUMENT, "nystrom: Omega^T Y is not positive definite", "the sketch is damaged");
    shift *= 4;
    core = core_of(seed, y, d, l, shift);
  }
  each_sketch_slab(seed, d, l, [&](size_t first, size_t count, double *omega) {
    cblas_daxpy(int(count * l), shift, omega, 1, y.data() + first * l, 1);
  });
  // F = Y R^-1, so that C ~= F F^T; F^T F = U S^2 U^T gives C's eigenvectors as F U / S.
  cblas_dtrsm(CblasRowMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit, rows, width, 1, core.data(), width,
              y.data(), width);
  std::vector<double> gram(l * l);
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
  polish(result.vectors, d, k);
  return result;
}

std::vector<double> sketch_of(const std::vector<double> &matrix, uint64_t seed, size_t d, size_t l) {
  std::vector<double> y(d * l);
  each_sketch_slab(seed, d, l, [&](size_t first, size_t rows, double *omega) {
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, int(d), int(l), int(rows), 1, matrix.data() + first, int(d),
                omega, int(l), 1, y.data(), int(l));
  });
  return y;
}

std::vector<double> captured_energy(const std::vector<double> &matrix, const std::vector<double> &vectors, size_t d,
                                    size_t k) {
  std::vector<double> images(k * d), energy;
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, int(k), int(d), int(d), 1, vectors.data(), int(d),
              matrix.data(), int(d), 0, images.data(), int(d));
  for (size_t i = 0; i < k; i++)
    energy.push_back(cblas_ddot(int(d), images.data() + i * d, 1, vectors.data() + i * d, 1));
  return energy;
}

bool lower_cholesky(std::vector<double> &matrix, size_t n) {
  const int size = int(n);
  int info = 0;
  dpotrf_("U", &size, matrix.data(), &size, &info);  // column-major upper = row-major lower
  return info == 0;
}

void require_orthonormal(const std::vector<double> &vectors, size_t d, size_t k) {
  const std::vector<double> gram = row_products(vectors, d, k);
  double worst = 0;
  for (size_t i = 0; i < k; i++)
    for (size_t j = 0; j < k; j++) worst = std::max(worst, std::fabs(gram[i * k + j] - (i == j ? 1 : 0)));
  if (!(worst < 1e-6)) throw Error(GSIC_INTERNAL, "eigenvectors are orthonormal only to " + std::to_string(worst));
}

}  // namespace gsic
