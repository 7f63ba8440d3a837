#include "second_moment.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>

#include "error.h"
#include "lapack.h"

namespace gsic {
namespace {

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

double SecondMoment::energy(const float *rows, size_t n) const {
  const std::vector<double> wide(rows, rows + n * d);
  if (dense()) {
    const std::vector<double> image = product(wide.data(), matrix.data(), n, d, d, false);
    return std::max(0.0, cblas_ddot(int(n * d), wide.data(), 1, image.data(), 1));
  }
  const std::vector<double> image = product(wide.data(), factor.data(), n, rank, d, false);
  return cblas_ddot(int(n * rank), image.data(), 1, image.data(), 1) +
         remainder * cblas_ddot(int(n * d), wide.data(), 1, wide.data(), 1);
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
