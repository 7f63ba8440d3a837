#include "moments.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace gsic {
namespace {

/// Rows and columns of a tile: its f32 product stays in the L2 cache.
constexpr uint32_t kTile = 512;

}  // namespace

Omega::Omega(uint32_t d, uint32_t width) : width(width), values(size_t(d) * width) {
  std::mt19937_64 generator(0x67736963);
  const auto uniform = [&] { return (double(generator() >> 11) + 0.5) * 0x1p-53; };
  for (size_t i = 0; i < values.size(); i += 2) {  // Box-Muller
    const double radius = std::sqrt(-2 * std::log(uniform())), angle = 2 * M_PI * uniform();
    values[i] = float(radius * std::cos(angle));
    if (i + 1 < values.size()) values[i + 1] = float(radius * std::sin(angle));
  }
}

Moments::Moments(std::string value, uint32_t d, uint32_t block, const Omega *omega)
    : value_(std::move(value)), d_(d), omega_(omega), block_(size_t(block) * d), mean_(d) {
  if (omega != nullptr) projected_.resize(size_t(block) * omega->width);
  for (uint32_t row = 0; row < d; row += kTile) {
    const uint32_t rows = std::min(kTile, d - row), end = omega != nullptr ? omega->width : row + rows;
    for (uint32_t column = 0; column < end; column += kTile) {
      const uint32_t columns = std::min(kTile, end - column);
      tiles_.push_back({row, rows, column, columns, std::vector<double>(size_t(rows) * columns)});
    }
  }
}

void Moments::gather(const float *vectors, uint32_t rows, uint32_t stride) {
  for (uint32_t i = 0; i < rows; i++)
    std::copy_n(vectors + size_t(i) * stride, d_, block_.data() + size_t(gathered_ + i) * d_);
  gathered_ += rows;
}

void Moments::clear() {
  count_ += gathered_;
  gathered_ = 0;
}

std::vector<Moments::Job> Moments::jobs(int stage) {
  std::vector<Job> list;
  if (stage == 0) {
    list.push_back([this] { add_means(); });
    if (omega_ != nullptr) list.push_back([this] { project(); });
  } else {
    for (Tile &tile : tiles_) list.push_back([this, &tile] { add_tile(tile); });
  }
  return list;
}

void Moments::add_means() {
  double squares = 0;
  for (uint32_t t = 0; t < gathered_; t++) {
    const float *x = block_.data() + size_t(t) * d_;
    double square = 0;
    for (uint32_t i = 0; i < d_; i++) {
      mean_[i] += x[i];
      square += double(x[i]) * x[i];
    }
    squares += square;
  }
  squared_norm_ += squares;
}

void Moments::project() {
  const int width = int(omega_->width);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, int(gathered_), width, int(d_), 1, block_.data(), int(d_),
              omega_->values.data(), width, 0, projected_.data(), width);
}

void Moments::add_tile(Tile &tile) const {
  thread_local std::vector<float> product(size_t(kTile) * kTile);
  const bool sketch = omega_ != nullptr;
  const float *left = block_.data() + tile.row, *right = (sketch ? projected_ : block_).data() + tile.column;
  const int stride = int(sketch ? omega_->width : d_), columns = int(tile.columns);
  const bool diagonal = !sketch && tile.row == tile.column;
  if (diagonal)
    cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, columns, int(gathered_), 1, left, stride, 0, product.data(),
                columns);
  else
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, int(tile.rows), columns, int(gathered_), 1, left, int(d_),
                right, stride, 0, product.data(), columns);
  for (uint32_t i = 0; i < tile.rows; i++) {
    double *sum = tile.sum.data() + size_t(i) * tile.columns;
    const float *row = product.data() + size_t(i) * tile.columns;
    const uint32_t end = diagonal ? i + 1 : tile.columns;
    for (uint32_t j = 0; j < end; j++) sum[j] += row[j];
  }
}

std::vector<TensorHeader> Moments::count_headers() const {
  return {{value_ + ".count", "I64", {1}}, {value_ + ".mean_squared_norm", "F64", {1}}};
}

std::vector<TensorHeader> Moments::headers() const {
  std::vector<TensorHeader> list = {{value_ + ".mean", "F32", {d_}}};
  if (omega_ == nullptr) {
    list.push_back({value_ + ".second_moment", "F32", {d_, d_}});
  } else {
    list.push_back({value_ + ".sketch.omega", "F32", {d_, omega_->width}});
    list.push_back({value_ + ".sketch.product", "F32", {d_, omega_->width}});
  }
  return list;
}

void Moments::write_counts(SafetensorsWriter &file) const {
  const int64_t count = int64_t(count_);
  const double squared_norm = squared_norm_ / double(count_);
  file.write(&count, sizeof count);
  file.write(&squared_norm, sizeof squared_norm);
}

void Moments::write(SafetensorsWriter &file) const {
  std::vector<float> mean(d_);
  for (uint32_t i = 0; i < d_; i++) mean[i] = float(mean_[i] / double(count_));
  file.write(mean);
  if (omega_ == nullptr) {
    write_second_moment(file);
  } else {
    file.write(omega_->values);
    write_sketch(file);
  }
}

void Moments::write_second_moment(SafetensorsWriter &file) const {
  // Both triangles, one band of kTile rows at a time.
  for (uint32_t band = 0; band < d_; band += kTile) {
    const uint32_t rows = std::min(kTile, d_ - band);
    std::vector<float> values(size_t(rows) * d_);
    for (const Tile &tile : tiles_)
      for (uint32_t i = 0; i < tile.rows; i++)
        for (uint32_t j = 0; j < tile.columns; j++) {
          const uint32_t row = tile.row + i, column = tile.column + j;
          if (column > row) continue;
          const float value = float(tile.sum[size_t(i) * tile.columns + j] / double(count_));
          if (tile.row == band) values[size_t(row - band) * d_ + column] = value;
          if (tile.column == band) values[size_t(column - band) * d_ + row] = value;
        }
    file.write(values);
  }
}

void Moments::write_sketch(SafetensorsWriter &file) const {
  std::vector<float> values(size_t(d_) * omega_->width);
  for (const Tile &tile : tiles_)
    for (uint32_t i = 0; i < tile.rows; i++)
      for (uint32_t j = 0; j < tile.columns; j++)
        values[size_t(tile.row + i) * omega_->width + tile.column + j] =
            float(tile.sum[size_t(i) * tile.columns + j] / double(count_));
  file.write(values);
}

}  // namespace gsic
