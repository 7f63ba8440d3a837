#include "correction.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "lapack.h"
#include "parallel.h"
#include "sketch.h"

namespace gsic {
namespace {

using Doubles = std::vector<double>;

/// Directions beyond the k wanted, so that the k converge.
constexpr size_t kSpareDirections = 16;
constexpr int kMostIterations = 60;
/// Iteration ends when the energy that k directions hold grows by less than this share.
constexpr double kTolerance = 1e-4;
/// How many iterations it usually takes, which decides by what the residual is multiplied.
constexpr size_t kUsualIterations = 10;
/// Eigenvalues below this share of the largest count as zero.
constexpr double kNullShare = 1e-11;
/// Sums over rows are taken in this many parts, whatever the number of threads.
constexpr size_t kSlots = 8;

constexpr Quantizer kFactorQuantizer{8, 64, true};

/// A B^T of A [m, d] and B [n, d].
Doubles products(const Doubles &a, const Doubles &b, size_t m, size_t n, size_t d) {
  Doubles c(m * n);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(m), int(n), int(d), 1, a.data(), int(d), b.data(), int(d), 0,
              c.data(), int(n));
  return c;
}

/// T X for T [m, n] and X [n, d].
Doubles combined(const Doubles &t, const Doubles &x, size_t m, size_t n, size_t d) {
  Doubles result(m * d);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, int(m), int(d), int(n), 1, t.data(), int(n), x.data(), int(d),
              0, result.data(), int(d));
  return result;
}

Eigen all_eigen(Doubles matrix, size_t n) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < i; j++) matrix[i * n + j] = matrix[j * n + i] = (matrix[i * n + j] + matrix[j * n + i]) / 2;
  return largest_eigen(matrix, n, n);
}

/// T with T G T^T = I for a symmetric G [n, n]; rows of its null space are zero.
Doubles whitening(const Doubles &g, size_t n) {
  Eigen eigen = all_eigen(g, n);
  for (size_t i = 0; i < n; i++) {
    const bool null = !(eigen.values[i] > kNullShare * eigen.values[0]);
    cblas_dscal(int(n), null ? 0 : 1 / std::sqrt(eigen.values[i]), &eigen.vectors[i * n], 1);
  }
  return std::move(eigen.vectors);
}

std::vector<float> narrowed(const Doubles &values) { return {values.begin(), values.end()}; }

/// Random signs [n, d].
Doubles random_rows(size_t n, size_t d) {
  Doubles columns(d * n), rows(n * d);
  fill_omega(kSketchSeed, 0, d, n, columns.data());
  for (size_t i = 0; i < d; i++)
    for (size_t j = 0; j < n; j++) rows[j * d + i] = columns[i * n + j];
  return rows;
}

/// The sum over all panels of what `add` adds to a [n, d] of zeros.
Doubles summed(ThreadPool &pool, const Stack &stack, size_t n,
               const std::function<void(const Panel &, size_t row, float *sum)> &add) {
  const std::vector<Panel> panels = panels_of(stack);
  std::vector<size_t> rows(panels.size() + 1, 0);
  for (size_t i = 0; i < panels.size(); i++) rows[i + 1] = rows[i] + panels[i].count;
  std::vector<std::vector<float>> sums(kSlots);
  each(pool, kSlots, [&](size_t slot) {
    sums[slot].assign(n * stack.d, 0);
    for (size_t i = slot; i < panels.size(); i += kSlots) add(panels[i], rows[i], sums[slot].data());
  });
  Doubles total(n * stack.d);
  for (const std::vector<float> &sum : sums)
    for (size_t i = 0; i < total.size(); i++) total[i] += double(sum[i]);
  return total;
}

/// E = W - Q of a stack, to multiply by E^T E: as it is, or where that pays as E^T E itself.
class Residual {
 public:
  Residual(ThreadPool &pool, const Stack &stack, size_t n) : pool_(pool), stack_(stack), panels_(panels_of(stack)) {
    const size_t d = stack.d;
    if (stack.rows() > d && d < kUsualIterations * 4 * n) {
      gram_ = summed(pool, stack, d, [&](const Panel &panel, size_t, float *sum) {
        std::vector<float> e(kPanelRows * d);
        stack.residual(panel.matrix, panel.first, panel.count, e.data());
        cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, int(d), int(panel.count), 1, e.data(), int(d), 1, sum,
                    int(d));
      });
      return;
    }
    rows_.resize(stack.rows() * d);
    std::vector<size_t> first(panels_.size(), 0);
    for (size_t i = 1; i < panels_.size(); i++) first[i] = first[i - 1] + panels_[i - 1].count;
    each(pool, panels_.size(), [&](size_t i) {
      stack.residual(panels_[i].matrix, panels_[i].first, panels_[i].count, &rows_[first[i] * d]);
    });
  }

  /// S E^T E for the rows of S [n, d].
  Doubles through(const Doubles &rows, size_t n) const {
    const int d = int(stack_.d), width = int(n);
    if (!gram_.empty()) {
      Doubles result(rows.size());
      cblas_dsymm(CblasRowMajor, CblasRight, CblasLower, width, d, 1, gram_.data(), d, rows.data(), d, 0, result.data(),
                  d);
      return result;
    }
    const std::vector<float> s = narrowed(rows);
    return summed(pool_, stack_, n, [&](const Panel &panel, size_t row, float *sum) {
      std::vector<float> f(kPanelRows * n);
      const float *e = &rows_[row * stack_.d];
      const int count = int(panel.count);
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, count, width, d, 1, e, d, s.data(), d, 0, f.data(), width);
      cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, width, d, count, 1, f.data(), width, e, d, 1, sum, d);
    });
  }

 private:
  ThreadPool &pool_;
  const Stack &stack_;
  const std::vector<Panel> panels_;
  Doubles gram_;
  std::vector<float> rows_;
};

/// Rounds the rows of A = E P^T, P [k, d], each with its own scale.
void round_a(const Stack &stack, const Panel &panel, const std::vector<float> &p, size_t k, CorrectionRows &to) {
  std::vector<float> e(kPanelRows * stack.d), a(kPanelRows * k);
  stack.residual(panel.matrix, panel.first, panel.count, e.data());
  const int d = int(stack.d);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(panel.count), int(k), d, 1, e.data(), d, p.data(), d, 0,
              a.data(), int(k));
  for (size_t r = 0; r < panel.count; r++) {
    float largest = 0;
    for (size_t j = 0; j < k; j++) largest = std::max(largest, std::fabs(a[r * k + j]));
    const float scale = largest / 127;
    to.scales[panel.first + r] = scale;
    for (size_t j = 0; j < k; j++)
      to.a[(panel.first + r) * k + j] = scale >= 1e-37f ? int8_t(std::nearbyint(a[r * k + j] / scale)) : int8_t(0);
  }
}

}  // namespace

const float *Stack::row(size_t index, size_t first) const {
  for (size_t i = 0; i < index; i++) first += matrices[i].rows;
  return weights.data() + first * d;
}

void Stack::residual(size_t index, size_t first, size_t count, float *to) const {
  matrices[index].dequantize(first, count, to, d);
  const float *w = row(index, first);
  for (size_t i = 0; i < count * d; i++) to[i] = w[i] - to[i];
}

void Stack::error(size_t index, size_t first, size_t count, const std::vector<float> &b_rows, float *to) const {
  residual(index, first, count, to);
  if (k() == 0) return;
  std::vector<float> rows(count * k());
  const CorrectionRows &from = a[index];
  for (size_t r = 0; r < count; r++)
    for (size_t j = 0; j < k(); j++) rows[r * k() + j] = from.scales[first + r] * float(from.a[(first + r) * k() + j]);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, int(count), int(d), int(k()), -1, rows.data(), int(k()),
              b_rows.data(), int(d), 1, to, int(d));
}

std::vector<Panel> panels_of(const Stack &stack) {
  std::vector<Panel> panels;
  for (size_t index = 0; index < stack.matrices.size(); index++)
    for (size_t first = 0; first < stack.matrices[index].rows; first += kPanelRows)
      panels.push_back({index, first, std::min(kPanelRows, stack.matrices[index].rows - first)});
  return panels;
}

std::vector<double> leading_directions(const SecondMoment &moment, size_t k) {
  const size_t d = moment.d, n = std::min(d, k + kSpareDirections);
  Doubles x = random_rows(n, d);
  double before = 0;
  for (int iteration = 0; iteration < kMostIterations; iteration++) {
    x = combined(whitening(products(x, x, n, n, d), n), x, n, n, d);
    Doubles next = moment.times(x, n);
    const Eigen ritz = all_eigen(products(x, next, n, n, d), n);
    double energy = 0;
    for (size_t i = 0; i < k; i++) energy += ritz.values[i];
    x = combined(ritz.vectors, iteration + 1 < kMostIterations ? next : x, n, n, d);
    if (energy <= before * (1 + kTolerance)) break;
    before = energy;
  }
  x.resize(k * d);
  return x;
}

Projection projection_of(const SecondMoment &moment, const std::vector<double> &b, size_t k) {
  const Doubles s = moment.times(b, k);
  return {k, combined(whitening(products(b, s, k, k, moment.d), k), s, k, k, moment.d)};
}

std::vector<double> best_directions(ThreadPool &pool, const Stack &stack, const SecondMoment &moment, size_t k,
                                    const std::vector<double> &start) {
  const size_t d = stack.d, n = std::min(d, k + kSpareDirections);
  Doubles x = random_rows(n, d);
  std::copy(start.begin(), start.end(), x.begin());
  const Residual residual(pool, stack, n);
  double before = 0;
  for (int iteration = 0;; iteration++) {
    Doubles s = moment.times(x, n);
    const Doubles white = whitening(products(x, s, n, n, d), n);
    x = combined(white, x, n, n, d);
    s = combined(white, s, n, n, d);
    const Doubles next = residual.through(s, n);
    Eigen ritz = all_eigen(products(next, s, n, n, d), n);
    double energy = 0;
    for (size_t i = 0; i < k; i++) energy += ritz.values[i];
    if (energy <= before * (1 + kTolerance) || iteration + 1 == kMostIterations) {
      // Columns of A become equally large, so that one scale a row suits all of them.
      for (size_t i = 0; i < k; i++)
        cblas_dscal(int(n), std::sqrt(std::max(0.0, ritz.values[i])), &ritz.vectors[i * n], 1);
      return combined(ritz.vectors, x, k, n, d);
    }
    before = energy;
    x = combined(ritz.vectors, next, n, n, d);
  }
}

void set_correction(ThreadPool &pool, Stack &stack, const SecondMoment &moment, const std::vector<double> &b,
                    size_t k) {
  const size_t d = stack.d;
  const std::vector<float> wide = narrowed(b);
  stack.b = QuantizedMatrix(kFactorQuantizer, k, d);
  for (size_t first = 0; first < k; first += kPanelRows)
    quantize_rows(&wide[first * d], first, std::min(kPanelRows, k - first), {false, nullptr, nullptr}, stack.b);
  std::vector<float> rounded(k * d);
  stack.b.dequantize(0, k, rounded.data(), d);
  // P = (B^T C B)^+ B^T C, by T with T (B^T C B) T^T = I.
  const Doubles rows(rounded.begin(), rounded.end()), s = moment.times(rows, k);
  const Doubles white = whitening(products(rows, s, k, k, d), k);
  Doubles inverse(k * k);
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, int(k), int(k), int(k), 1, white.data(), int(k), white.data(),
              int(k), 0, inverse.data(), int(k));
  const std::vector<float> p = narrowed(combined(inverse, s, k, k, d));
  stack.a.clear();
  for (const QuantizedMatrix &matrix : stack.matrices)
    stack.a.push_back({std::vector<int8_t>(matrix.rows * k), std::vector<float>(matrix.rows)});
  const std::vector<Panel> panels = panels_of(stack);
  each(pool, panels.size(), [&](size_t i) { round_a(stack, panels[i], p, k, stack.a[panels[i].matrix]); });
}

std::vector<float> random_projections(ThreadPool &pool, const Stack &stack, size_t p, uint64_t seed) {
  std::vector<float> b(stack.k() * stack.d);
  stack.b.dequantize(0, stack.k(), b.data(), stack.d);
  const Doubles sum = summed(pool, stack, p, [&](const Panel &panel, size_t row, float *to) {
    std::vector<float> e(kPanelRows * stack.d), signs(kPanelRows * p);
    stack.error(panel.matrix, panel.first, panel.count, b, e.data());
    fill_omega(seed, row, panel.count, p, signs.data());
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, int(p), int(stack.d), int(panel.count),
                1 / std::sqrt(float(p)), signs.data(), int(p), e.data(), int(stack.d), 1, to, int(stack.d));
  });
  return narrowed(sum);
}

}  // namespace gsic
