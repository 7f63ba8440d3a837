#include "second_moment.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>

#include "error.h"
#include "lapack.h"

namespace gsic {
namespace {

/// Columns of a root that errors are multiplied by at a time: below its diagonal, a triangular one costs half.
constexpr size_t kRootColumns = 128;
/// The least that is added to C's diagonal before it is factored, as a share of its mean; and how often that grows
/// tenfold.
constexpr double kRootRidge = 1e-8;
constexpr int kMostRidges = 8;

std::vector<double> widened(const std::vector<float> &values) {
  if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
    throw Error(GSIC_INVALID_ARGUMENT, "the second moment holds values that are no finite numbers");
  return {values.begin(), values.end()};
}

/// A [m, k] times B [k, n], or times the transpose of B [n, k].
std::vector<double> product(const double *a, const double *b, size_t m, size_t n, size_t k, bool transposed) {
  std::vector<double> c(m * n);
  if (m > 0 && n > 0 && k > 0)
    cblas_dgemm(CblasRowMajor, CblasNoTrans, transposed ? CblasTrans : CblasNoTrans, int(m), int(n), int(k), 1, a,
                int(k), b, int(transposed ? k : n), 0, c.data(), int(n));
  return c;
}

}  // namespace

std::vector<double> SecondMoment::times(const std::vector<double> &rows, size_t p) const {
  if (dense()) return product(rows.data(), matrix.data(), p, d, d, false);
  const std::vector<double> inner = product(rows.data(), factor.data(), p, rank, d, false);
  std::vector<double> result = product(inner.data(), factor.data(), p, d, rank, true);
  cblas_daxpy(int(p * d), remainder, rows.data(), 1, result.data(), 1);
  return result;
}

std::vector<double> SecondMoment::diagonal() const {
  std::vector<double> result(d, remainder);
  for (size_t i = 0; i < d; i++)
    result[i] =
        dense() ? matrix[i * d + i] : remainder + cblas_ddot(int(rank), &factor[i * rank], 1, &factor[i * rank], 1);
  return result;
}

double MomentRoot::energy(const float *errors, size_t n) const {
  std::vector<float> image(n * kRootColumns);
  double sum = 0;
  for (size_t first = 0; first < rank; first += kRootColumns) {
    const size_t width = std::min(kRootColumns, rank - first), begin = triangular ? first : 0;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, int(n), int(width), int(d - begin), 1, errors + begin,
                int(d), &rows[begin * rank + first], int(rank), 0, image.data(), int(width));
    for (size_t row = 0; row < n; row++) sum += cblas_dsdot(int(width), &image[row * width], 1, &image[row * width], 1);
  }
  for (size_t row = 0; row < n && remainder != 0; row++)
    sum += remainder * cblas_dsdot(int(d), errors + row * d, 1, errors + row * d, 1);
  return std::max(0.0, sum);
}

MomentRoot root_of(const SecondMoment &moment) {
  const size_t d = moment.d;
  if (!moment.dense()) return {d, moment.rank, false, {moment.factor.begin(), moment.factor.end()}, moment.remainder};
  double trace = 0;
  for (size_t i = 0; i < d; i++) trace += moment.matrix[i * d + i];
  // C was rounded to f32: its null directions may have become a little negative.
  double ridge = kRootRidge * trace / double(d);
  for (int attempt = 0; attempt < kMostRidges; attempt++, ridge *= 10) {
    std::vector<double> lower = moment.matrix;
    for (size_t i = 0; i < d; i++) lower[i * d + i] += ridge > 0 ? ridge : 1;
    if (!lower_cholesky(lower, d)) continue;
    for (size_t i = 0; i < d; i++) std::fill(&lower[i * d] + i + 1, &lower[i * d] + d, 0.0);
    return {d, d, true, {lower.begin(), lower.end()}, -(ridge > 0 ? ridge : 1)};
  }
  throw Error(GSIC_INVALID_ARGUMENT, "the second moment is not positive semidefinite");
}

SecondMoment exact_moment(const std::vector<float> &matrix, size_t d) {
  SecondMoment moment;
  moment.d = d;
  moment.matrix = widened(matrix);
  return moment;
}

SecondMoment sketched_moment(const std::vector<float> &sketch, size_t d, size_t l, uint64_t seed,
                             double mean_squared_norm) {
  SecondMoment moment;
  moment.d = d;
  moment.rank = l;
  std::vector<double> y = widened(sketch);
  const Eigen eigen = nystrom_eigen(seed, y, d, l, l);
  std::vector<double>().swap(y);
  double captured = 0;
  for (const double value : eigen.values) captured += value;
  moment.remainder = d == l ? 0 : std::max(0.0, mean_squared_norm - captured) / double(d - l);
  moment.factor.resize(d * l);
  for (size_t j = 0; j < l; j++) {
    const double length = std::sqrt(std::max(0.0, eigen.values[j] - moment.remainder));
    for (size_t i = 0; i < d; i++) moment.factor[i * l + j] = length * eigen.vectors[j * d + i];
  }
  return moment;
}

}  // namespace gsic
