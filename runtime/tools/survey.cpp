#include "survey.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "linalg.h"
#include "parallel.h"

namespace gsic {
namespace {

/// Tokens of a block, and rows of a matrix that multiply them at once: what is held beside the arguments is
/// kTokens (2 d + kRows) numbers a thread. Both are fixed: results do not depend on the number of threads.
constexpr size_t kTokens = 64, kRows = 512;

/// Calls `work(first, count)` for blocks of tokens.
void each_block(size_t tokens, const std::function<void(size_t, size_t)> &work) {
  each_slab((tokens + kTokens - 1) / kTokens, [&](size_t block) {
    const size_t first = block * kTokens;
    work(first, std::min(kTokens, tokens - first));
  });
}

template <typename Number> double squared_norm(const Number *values, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += double(values[i]) * double(values[i]);
  return sum;
}

/// ||A x||^2 of `count` rows x [d], for A [rows, d].
void product_norms(const SurveyMatrix &matrix, const float *x, size_t count, size_t d, float *norms) {
  const size_t rows = matrix.size() / d;
  std::vector<float> product(count * kRows);
  std::vector<double> sums(count);
  for (size_t row = 0; row < rows; row += kRows) {
    const size_t some = std::min(kRows, rows - row);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(count), int(some), int(d), 1, x, int(d),
                matrix.data() + row * d, int(d), 0, product.data(), int(some));
    for (size_t t = 0; t < count; t++) sums[t] += squared_norm(product.data() + t * some, some);
  }
  std::copy(sums.begin(), sums.end(), norms);
}

/// r <- r - V^T V r for `count` rows r [d] and rows `first` to before `last` of V^T.
void remove_directions(const SurveyMatrix &basis, size_t first, size_t last, std::vector<double> &r, size_t count,
                       size_t d) {
  for (size_t row = first; row < last; row += kTokens) {
    const size_t some = std::min(kTokens, last - row);
    const std::vector<double> v(basis.begin() + long(row * d), basis.begin() + long((row + some) * d));
    std::vector<double> g(count * some);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(count), int(some), int(d), 1, r.data(), int(d), v.data(),
                int(d), 0, g.data(), int(some));
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, int(count), int(d), int(some), -1, g.data(), int(some),
                v.data(), int(d), 1, r.data(), int(d));
  }
}

}  // namespace

void each_slab(size_t count, const std::function<void(size_t)> &work) {
  const int threads = openblas_get_num_threads();
  const BlasThreads restored{threads};
  openblas_set_num_threads(1);
  ThreadPool pool{uint32_t(threads)};
  each(pool, count, work);
}

std::vector<SurveyMatrix> subspace_survey(const SurveyMatrix &inputs, const SurveyMatrix &basis,
                                          const SurveyMatrix &weights, size_t d, const std::vector<size_t> &ks) {
  const size_t tokens = inputs.size() / d;
  SurveyMatrix squares(tokens), rho(ks.size() * tokens), errors(ks.size() * tokens);
  each_block(tokens, [&](size_t first, size_t count) {
    std::vector<double> r(inputs.begin() + long(first * d), inputs.begin() + long((first + count) * d));
    std::vector<double> norms(count);
    for (size_t t = 0; t < count; t++) {
      norms[t] = squared_norm(r.data() + t * d, d);
      squares[first + t] = float(norms[t]);
    }
    for (size_t i = 0; i < ks.size(); i++) {
      remove_directions(basis, i == 0 ? 0 : ks[i - 1], ks[i], r, count, d);
      const std::vector<float> narrow(r.begin(), r.end());
      product_norms(weights, narrow.data(), count, d, errors.data() + i * tokens + first);
      for (size_t t = 0; t < count; t++) {
        const double square = squared_norm(r.data() + t * d, d);
        rho[i * tokens + first + t] = norms[t] == 0 ? 0 : float(std::sqrt(square / norms[t]));
      }
    }
  });
  return {std::move(squares), std::move(rho), std::move(errors)};
}

std::vector<SurveyMatrix> tier_survey(const SurveyMatrix &inputs, const SurveyMatrix &error,
                                      const SurveyMatrix &projections, size_t d) {
  const size_t tokens = inputs.size() / d;
  SurveyMatrix errors(tokens), projected(tokens), squares(tokens);
  each_block(tokens, [&](size_t first, size_t count) {
    const float *x = inputs.data() + first * d;
    product_norms(error, x, count, d, errors.data() + first);
    product_norms(projections, x, count, d, projected.data() + first);
    for (size_t t = 0; t < count; t++) squares[first + t] = float(squared_norm(x + t * d, d));
  });
  return {std::move(errors), std::move(projected), std::move(squares)};
}

}  // namespace gsic
