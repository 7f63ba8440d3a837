#include "moments.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "error.h"
#include "sketch.h"

namespace gsic {
namespace {

/// Rows and columns of a tile: its f32 product stays in the L2 cache.
constexpr uint32_t kTile = 512;

/// Calls `use(row, rows, column, columns)` for every tile of a shape's sums.
template <typename Use> void each_tile(const MomentsShape &shape, const Use &use) {
  for (uint32_t row = 0; row < shape.d; row += kTile) {
    const uint32_t rows = std::min(kTile, shape.d - row), end = shape.sketch != 0 ? shape.sketch : row + rows;
    for (uint32_t column = 0; column < end; column += kTile) use(row, rows, column, std::min(kTile, end - column));
  }
}

}  // namespace

Omega::Omega(uint32_t d, uint32_t columns) : width(columns), values(size_t(d) * width) {
  fill_omega(kSketchSeed, 0, d, width, values.data());
}

std::vector<TensorHeader> MomentsShape::count_headers() const {
  std::vector<TensorHeader> list = {{mark(), "I64", {1}}, {value + ".mean_squared_norm", "F64", {1}}};
  if (sketch != 0) list.push_back({value + ".sketch.seed", "I64", {1}});
  return list;
}

std::vector<TensorHeader> MomentsShape::headers() const {
  const TensorHeader matrix = sketch == 0 ? TensorHeader{value + ".second_moment", "F32", {d, d}}
                                          : TensorHeader{value + ".sketch.product", "F32", {d, sketch}};
  return {{value + ".mean", "F32", {d}}, matrix};
}

uint64_t MomentsShape::bytes(uint32_t block) const {
  uint64_t sums = d;
  each_tile(*this, [&](uint32_t, uint32_t rows, uint32_t, uint32_t columns) { sums += uint64_t(rows) * columns; });
  return sums * sizeof(double) + uint64_t(block) * (d + sketch) * sizeof(float);
}

Moments::Moments(MomentsShape shape, uint32_t block, const Omega *omega)
    : shape_(std::move(shape)),
      d_(shape_.d),
      omega_(omega),
      block_(size_t(block) * d_),
      projected_(size_t(block) * shape_.sketch),
      mean_(d_) {
  each_tile(shape_, [&](uint32_t row, uint32_t rows, uint32_t column, uint32_t columns) {
    tiles_.push_back({row, rows, column, columns, std::vector<double>(size_t(rows) * columns)});
  });
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
    for (uint32_t column = 0; column < shape_.sketch; column += kTile)
      list.push_back([this, column] { project(column, std::min(kTile, shape_.sketch - column)); });
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

void Moments::project(uint32_t column, uint32_t columns) {
  const int width = int(shape_.sketch);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, int(gathered_), int(columns), int(d_), 1, block_.data(),
              int(d_), omega_->values.data() + column, width, 0, projected_.data() + column, width);
}

void Moments::add_tile(Tile &tile) const {
  thread_local std::vector<float> product(size_t(kTile) * kTile);
  const bool sketch = shape_.sketch != 0;
  const float *left = block_.data() + tile.row, *right = (sketch ? projected_ : block_).data() + tile.column;
  const int stride = int(sketch ? shape_.sketch : d_), columns = int(tile.columns);
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

void Moments::write(ResumableWriter &file) const {
  const double squared_norm = squared_norm_ / double(count_);
  if (!std::isfinite(squared_norm))
    throw Error(GSIC_INTERNAL, shape_.value + " holds values that are no finite numbers: the model's weights overflow");
  std::vector<float> mean(d_);
  for (uint32_t i = 0; i < d_; i++) mean[i] = float(mean_[i] / double(count_));
  file.write(shape_.value + ".mean_squared_norm", &squared_norm, sizeof squared_norm);
  file.write(shape_.value + ".mean", mean);
  if (shape_.sketch == 0)
    write_second_moment(file);
  else
    write_sketch(file);
}

void Moments::write_second_moment(ResumableWriter &file) const {
  // Both triangles, one band of kTile rows at a time.
  for (uint32_t band = 0; band < d_; band += kTile) {
    const uint32_t rows = std::min(kTile, d_ - band);
    std::vector<float> values(size_t(rows) * d_);
    for (const Tile &tile : tiles_)
      for (uint32_t i = 0; (tile.row == band || tile.column == band) && i < tile.rows; i++)
        for (uint32_t j = 0; j < tile.columns; j++) {
          const uint32_t row = tile.row + i, column = tile.column + j;
          if (column > row) continue;
          const float value = float(tile.sum[size_t(i) * tile.columns + j] / double(count_));
          if (tile.row == band) values[size_t(row - band) * d_ + column] = value;
          if (tile.column == band) values[size_t(column - band) * d_ + row] = value;
        }
    file.write(shape_.value + ".second_moment", values, uint64_t(band) * d_ * sizeof(float));
  }
}

void Moments::write_sketch(ResumableWriter &file) const {
  const uint32_t width = shape_.sketch;
  for (uint32_t band = 0; band < d_; band += kTile) {
    const uint32_t rows = std::min(kTile, d_ - band);
    std::vector<float> values(size_t(rows) * width);
    for (const Tile &tile : tiles_)
      for (uint32_t i = 0; tile.row == band && i < tile.rows; i++)
        for (uint32_t j = 0; j < tile.columns; j++)
          values[size_t(i) * width + tile.column + j] = float(tile.sum[size_t(i) * tile.columns + j] / double(count_));
    file.write(shape_.value + ".sketch.product", values, uint64_t(band) * width * sizeof(float));
  }
  const int64_t seed = int64_t(kSketchSeed);
  file.write(shape_.value + ".sketch.seed", &seed, sizeof seed);
}

}  // namespace gsic
