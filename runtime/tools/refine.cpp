// Loops over a block become vector code only when optimised for speed.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "fp-contract=off")
#endif

#include "refine.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>

#include "blocks.h"

namespace gsic {
namespace {

/// How often all blocks of a row are gone through.
constexpr int kSweeps = 3;

/// A block of one row.
struct Block {
  const BlockFormat &format;
  BlockLines &lines;
  int8_t *levels;
  const float *values;
  float *errors;
  /// H e, of the block's columns.
  float *gradient;

  const Line &line(size_t j) const { return lines.lines[j / format.part]; }
  bool shares() const { return format.elements > format.part; }
};

double dot(const float *a, const float *b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += double(a[i]) * double(b[i]);
  return sum;
}

/// What a block's values are multiples of: of its scale u, of its minimum v; and these times H.
struct Multiples {
  const float *u, *v, *hu, *hv;
};

/// What an error e loses less where it becomes e - s u - m v, for the block's multiples u of its scale and v of its
/// minimum.
struct Fit {
  double uu, uv, vv, ug, vg;

  double gain(double s, double m) const { return 2 * (s * ug + m * vg) - (s * s * uu + 2 * s * m * uv + m * m * vv); }
};

void set_lines(Block &block, uint16_t scale, uint16_t minimum) {
  BlockLines &lines = block.lines;
  lines.scale = scale;
  lines.minimum = minimum;
  const float s = half_value(scale), m = half_value(minimum);
  for (size_t p = 0; p < block.format.elements / block.format.part; p++)
    lines.lines[p] = block.shares() ? Line{s * float(lines.scales[p]), -(m * float(lines.minima[p]))} : Line{s, m};
}

/// Moves the scale, and where there is one the minimum, to those of least squares for the levels, if that gains.
void refit(Block &block, const Multiples &of) {
  const BlockFormat &format = block.format;
  const BlockLines &lines = block.lines;
  const size_t n = format.elements;
  Fit fit{dot(of.u, of.hu, n), 0, 0, dot(of.u, block.gradient, n), 0};
  if (format.offset) fit = {fit.uu, dot(of.v, of.hu, n), dot(of.v, of.hv, n), fit.ug, dot(of.v, block.gradient, n)};
  if (!(fit.uu > 0)) return;
  const float scale = half_value(lines.scale), minimum = half_value(lines.minimum);
  const double determinant = fit.uu * fit.vv - fit.uv * fit.uv;
  double s = fit.ug / fit.uu, m = 0;
  if (determinant > 1e-9 * fit.uu * fit.vv) {
    m = (fit.uu * fit.vg - fit.uv * fit.ug) / determinant;
    if (block.shares()) m = std::max(m, -double(minimum));
    s = (fit.ug - m * fit.uv) / fit.uu;
  }
  const uint16_t new_scale = half_bits(float(double(scale) + s)), new_minimum = half_bits(float(double(minimum) + m));
  const float ds = half_value(new_scale) - scale, dm = half_value(new_minimum) - minimum;
  // A scale of another sign is another grid.
  if (!(half_value(new_scale) * scale > 0) || !(fit.gain(double(ds), double(dm)) > 0)) return;
  set_lines(block, new_scale, new_minimum);
  for (size_t j = 0; j < n; j++) {
    block.errors[j] = block.values[j] - level_value(format, block.line(j), block.levels[j]);
    block.gradient[j] -= ds * of.hu[j] + (format.offset ? dm * of.hv[j] : 0);
  }
}

/// Moves each level to the best one for all others; `curvature` is H of the block's columns.
void descend(Block &block, const std::vector<float> &curvature) {
  const BlockFormat &format = block.format;
  const size_t n = format.elements;
  for (size_t j = n; j-- > 0;) {
    const float *h = &curvature[j * n], gradient = block.gradient[j];
    if (!(h[j] > 0)) continue;
    const float wanted = block.values[j] - block.errors[j] + gradient / h[j];
    const int8_t level = nearest_level(format, block.line(j), wanted);
    if (level == block.levels[j]) continue;
    const float error = block.values[j] - level_value(format, block.line(j), level);
    const float change = error - block.errors[j];
    if (!(change * (2 * gradient + change * h[j]) < 0)) continue;
    block.levels[j] = level;
    block.errors[j] = error;
    for (size_t i = 0; i < n; i++) block.gradient[i] += change * h[i];
  }
}

/// The errors of some rows, times H: all of it, or where H has a factor errors times that.
class Gradients {
 public:
  Gradients(const Curvature &curvature, const RoundedRows &rows)
      : curvature_(curvature), count_(int(rows.count)), d_(int(rows.d)), rank_(int(curvature.rank)) {
    const int width = rank_ > 0 ? rank_ : d_;
    const std::vector<float> &right = rank_ > 0 ? curvature.factor : curvature.matrix;
    state_.resize(rows.count * size_t(width));
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, count_, width, d_, 1, rows.errors, d_, right.data(), width,
                0, state_.data(), width);
  }

  /// Of columns `first` to `first + n` - 1, [count, n].
  void block(const float *errors, size_t first, size_t n, float *to) const {
    for (size_t r = 0; r < size_t(count_); r++)
      for (size_t j = 0; j < n; j++)
        to[r * n + j] =
            rank_ > 0 ? curvature_.ridge * errors[r * size_t(d_) + first + j] : state_[r * size_t(d_) + first + j];
    if (rank_ > 0)
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, count_, int(n), rank_, 1, state_.data(), rank_,
                  &curvature_.factor[first * curvature_.rank], rank_, 1, to, int(n));
  }

  /// Takes changes [count, n] of the errors of those columns.
  void add(const std::vector<float> &changes, size_t first, size_t n) {
    const int width = rank_ > 0 ? rank_ : d_;
    const std::vector<float> &right = rank_ > 0 ? curvature_.factor : curvature_.matrix;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, count_, width, int(n), 1, changes.data(), int(n),
                &right[first * size_t(width)], width, 1, state_.data(), width);
  }

 private:
  const Curvature &curvature_;
  const int count_, d_, rank_;
  std::vector<float> state_;
};

/// H of the columns `first` to `first + n` - 1, [n, n].
std::vector<float> block_curvature(const Curvature &curvature, size_t first, size_t n) {
  const bool whole = curvature.rank == 0;
  const float *from =
      whole ? &curvature.matrix[first * curvature.d + first] : &curvature.band[first * kMostBlock + first % kMostBlock];
  std::vector<float> result(n * n);
  for (size_t i = 0; i < n; i++) std::copy_n(from + i * (whole ? curvature.d : kMostBlock), n, &result[i * n]);
  return result;
}

/// The multiples of one block of all rows, each [count, n].
struct BlockMultiples {
  std::vector<float> u, v, hu, hv;

  BlockMultiples(const RoundedRows &rows, size_t block, const std::vector<float> &curvature)
      : u(rows.count * rows.format.elements), v(u.size()), hu(u.size()), hv(u.size()) {
    const BlockFormat &format = rows.format;
    const size_t n = format.elements, blocks = rows.d / n;
    const bool shares = n > format.part;
    for (size_t r = 0; r < rows.count; r++)
      for (size_t j = 0; j < n; j++) {
        const BlockLines &lines = rows.lines[r * blocks + block];
        const size_t p = j / format.part;
        const float t = level_value(format, {1, 0}, rows.levels[r * rows.d + block * n + j]);
        u[r * n + j] = shares ? float(lines.scales[p]) * t : t;
        v[r * n + j] = shares ? -float(lines.minima[p]) : 1;
      }
    times(u, curvature, rows.count, n, hu);
    if (format.offset) times(v, curvature, rows.count, n, hv);
  }

  Multiples of(size_t r, size_t n) const { return {&u[r * n], &v[r * n], &hu[r * n], &hv[r * n]}; }

 private:
  static void times(const std::vector<float> &x, const std::vector<float> &curvature, size_t count, size_t n,
                    std::vector<float> &to) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, int(count), int(n), int(n), 1, x.data(), int(n),
                curvature.data(), int(n), 0, to.data(), int(n));
  }
};

}  // namespace

Curvature curvature_of(const SecondMoment &moment, double ridge) {
  Curvature result;
  result.d = moment.d;
  if (!moment.dense()) {
    result.rank = moment.rank;
    result.factor.assign(moment.factor.begin(), moment.factor.end());
    result.ridge = float(moment.remainder + ridge);
    result.band.resize(moment.d * kMostBlock);
    const int rank = int(result.rank);
    for (size_t first = 0; first < moment.d; first += kMostBlock) {
      const int n = int(std::min(kMostBlock, moment.d - first));
      const float *rows = &result.factor[first * result.rank];
      float *band = &result.band[first * kMostBlock];
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, rank, 1, rows, rank, rows, rank, 0, band,
                  int(kMostBlock));
      for (size_t i = 0; i < size_t(n); i++) band[i * kMostBlock + i] += result.ridge;
    }
    return result;
  }
  result.matrix.assign(moment.matrix.begin(), moment.matrix.end());
  for (size_t i = 0; i < moment.d; i++)
    result.matrix[i * moment.d + i] = float(moment.matrix[i * moment.d + i] + ridge);
  return result;
}

void refine_rows(const Curvature &curvature, RoundedRows &rows) {
  const size_t n = rows.format.elements, blocks = rows.d / n;
  Gradients gradients(curvature, rows);
  std::vector<float> gradient(rows.count * n), changes(rows.count * n);
  for (int sweep = 0; sweep < kSweeps; sweep++)
    for (size_t block = blocks; block-- > 0;) {
      const size_t first = block * n;
      const std::vector<float> here = block_curvature(curvature, first, n);
      const BlockMultiples multiples(rows, block, here);
      gradients.block(rows.errors, first, n, gradient.data());
      for (size_t r = 0; r < rows.count; r++) {
        const size_t at = r * rows.d + first;
        Block one{rows.format,     rows.lines[r * blocks + block], &rows.levels[at], rows.values + at, rows.errors + at,
                  &gradient[r * n]};
        for (size_t j = 0; j < n; j++) changes[r * n + j] = -rows.errors[at + j];
        refit(one, multiples.of(r, n));
        descend(one, here);
        for (size_t j = 0; j < n; j++) changes[r * n + j] += rows.errors[at + j];
      }
      gradients.add(changes, first, n);
    }
}

}  // namespace gsic
