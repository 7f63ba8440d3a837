#include "feedback.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>

#include "error.h"
#include "lapack.h"

namespace gsic {
namespace {

constexpr int kMostAttempts = 12;

double mean(const std::vector<double> &values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / double(values.size());
}

/// Divides the columns of a Cholesky factor [n, n] by its diagonal; element (i, j) of the unit factor.
float unit(const std::vector<double> &factor, size_t n, size_t i, size_t j) {
  return float(factor[i * n + j] / factor[j * n + j]);
}

bool dense_feedback(const SecondMoment &moment, const Projection &projection, double ridge, Feedback &result) {
  const size_t d = moment.d;
  std::vector<double> h = moment.matrix;
  if (projection.k > 0)
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, int(d), int(projection.k), -1, projection.rows.data(), int(d), 1,
                h.data(), int(d));
  for (size_t i = 0; i < d; i++) h[i * d + i] += ridge;
  if (!lower_cholesky(h, d)) return false;
  result.lower.assign(d * d, 0);
  for (size_t i = 0; i < d; i++) {
    result.weights[i] = float(h[i * d + i] * h[i * d + i]);
    for (size_t j = 0; j < i; j++) result.lower[i * d + j] = unit(h, d, i, j);
    const size_t block = i - i % kFeedbackBlock;
    for (size_t j = block; j < i; j++) result.band[i * kFeedbackBlock + j - block] = result.lower[i * d + j];
  }
  return true;
}

/// H = F M F^T + ridge I with F = [factor, S^T] and M = diag(1, ..., -1, ...), eliminated block by block: M becomes
/// that of the Schur complement, and L = F right^T below the block.
bool factored_feedback(const SecondMoment &moment, const Projection &projection, double ridge, Feedback &result) {
  const size_t d = moment.d, l = moment.rank + projection.k;
  std::vector<double> f(d * l), m(l * l);
  for (size_t i = 0; i < d; i++) {
    std::copy_n(&moment.factor[i * moment.rank], moment.rank, &f[i * l]);
    for (size_t j = 0; j < projection.k; j++) f[i * l + moment.rank + j] = projection.rows[j * d + i];
  }
  for (size_t i = 0; i < l; i++) m[i * l + i] = i < moment.rank ? 1 : -1;
  result.rank = l;
  result.left.assign(f.begin(), f.end());
  result.right.resize(d * l);
  std::vector<double> image(kFeedbackBlock * l), block(kFeedbackBlock * kFeedbackBlock);
  const int width = int(l);
  for (size_t first = 0; first < d; first += kFeedbackBlock) {
    const size_t n = std::min(kFeedbackBlock, d - first);
    block.resize(n * n);
    cblas_dsymm(CblasRowMajor, CblasRight, CblasLower, int(n), width, 1, m.data(), width, &f[first * l], width, 0,
                image.data(), width);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(n), int(n), width, 1, image.data(), width, &f[first * l],
                width, 0, block.data(), int(n));
    for (size_t i = 0; i < n; i++) block[i * n + i] += ridge;
    if (!lower_cholesky(block, n)) return false;
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, int(n), width, 1, block.data(),
                int(n), image.data(), width);
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, width, int(n), -1, image.data(), width, 1, m.data(), width);
    for (size_t i = 0; i < n; i++) {
      const double length = block[i * n + i];
      result.weights[first + i] = float(length * length);
      for (size_t j = 0; j < l; j++) result.right[(first + i) * l + j] = float(image[i * l + j] / length);
      for (size_t j = 0; j < i; j++) result.band[(first + i) * kFeedbackBlock + j] = unit(block, n, i, j);
    }
  }
  return true;
}

}  // namespace

std::vector<double> projected_diagonal(const SecondMoment &moment, const Projection &projection) {
  std::vector<double> result = moment.diagonal();
  for (size_t j = 0; j < projection.k; j++)
    for (size_t i = 0; i < moment.d; i++)
      result[i] -= projection.rows[j * moment.d + i] * projection.rows[j * moment.d + i];
  for (double &value : result) value = std::max(0.0, value);
  return result;
}

Feedback feedback_of(const SecondMoment &moment, const Projection &projection, double damping) {
  Feedback result;
  result.d = moment.d;
  result.weights.resize(moment.d);
  result.band.assign(moment.d * kFeedbackBlock, 0);
  const double level = mean(projected_diagonal(moment, projection)) + 1e-12 * mean(moment.diagonal());
  double share = damping;
  for (int attempt = 0; attempt < kMostAttempts; attempt++, share = std::max(10 * share, 1e-8)) {
    const double ridge = level > 0 ? share * level : 1;
    const bool done = moment.dense() ? dense_feedback(moment, projection, ridge, result)
                                     : factored_feedback(moment, projection, moment.remainder + ridge, result);
    result.ridge = ridge;
    if (done) return result;
  }
  throw Error(GSIC_INVALID_ARGUMENT, "the second moment is not positive semidefinite");
}

void add_feedback(const Feedback &feedback, const float *errors, const float *state, size_t rows, size_t first,
                  size_t last, float *x) {
  const int width = int(last - first), d = int(feedback.d), rank = int(feedback.rank);
  if (!feedback.lower.empty()) {
    if (last < feedback.d)
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, int(rows), width, d - int(last), 1, errors + last, d,
                  &feedback.lower[last * feedback.d + first], d, 1, x, width);
    return;
  }
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(rows), width, rank, 1, state, rank,
              &feedback.right[first * feedback.rank], rank, 1, x, width);
}

void take_errors(const Feedback &feedback, const float *errors, size_t rows, size_t first, size_t last, float *state) {
  if (!feedback.lower.empty()) return;
  const int rank = int(feedback.rank);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, int(rows), rank, int(last - first), 1, errors + first,
              int(feedback.d), &feedback.left[first * feedback.rank], rank, 1, state, rank);
}

}  // namespace gsic
