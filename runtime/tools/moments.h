// Statistics of one linear input over a stream of tokens, in memory that does not depend on their number.
#ifndef GSIC_TOOLS_MOMENTS_H
#define GSIC_TOOLS_MOMENTS_H

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "safetensors.h"

namespace gsic {

/// The Omega [d, width] of a sketch, in memory; the same for all inputs of a width.
struct Omega {
  Omega(uint32_t d, uint32_t columns);
  uint32_t width;
  std::vector<float> values;
};

/// The shape of one input's statistics.
struct MomentsShape {
  std::string value;  ///< the input's name
  uint32_t d;
  uint32_t sketch;  ///< width of Y = E[x x^T] Omega; 0: the whole E[x x^T]

  /// Tensors of the file: the counts first, so that every array is aligned to its elements.
  std::vector<TensorHeader> count_headers() const;
  std::vector<TensorHeader> headers() const;
  std::string mark() const { return value + ".count"; }
  /// Bytes of memory while blocks of `block` tokens are gathered, apart from Omega.
  uint64_t bytes(uint32_t block) const;
};

/// Mean, mean squared norm and E[x x^T] (or its sketch Y = E[x x^T] Omega) of vectors x in R^d. Products of a block
/// are made in f32, sums over blocks in double; results do not depend on the number of threads.
class Moments {
 public:
  using Job = std::function<void()>;

  /// `block`: tokens that are gathered before they are folded into the sums. `omega`: of the shape's sketch, if it has
  /// one; it outlives this object.
  Moments(MomentsShape shape, uint32_t block, const Omega *omega);

  /// Adds `rows` vectors, `stride` floats apart; at most `block` in all since the last fold.
  void gather(const float *vectors, uint32_t rows, uint32_t stride);
  uint32_t gathered() const { return gathered_; }
  /// The jobs that fold what was gathered: those of stage 0, then those of stage 1, then `clear`. Those of a stage do
  /// not depend on each other.
  std::vector<Job> jobs(int stage);
  void clear();

  /// Writes everything but the mark. Throws GSIC_INTERNAL where the vectors were no finite numbers.
  void write(ResumableWriter &file) const;
  std::pair<std::string, int64_t> mark() const { return {shape_.mark(), int64_t(count_)}; }

 private:
  /// Part of the lower triangle of sum x x^T, or of Y.
  struct Tile {
    uint32_t row, rows, column, columns;
    std::vector<double> sum;  ///< [rows, columns]
  };

  void add_tile(Tile &tile) const;
  void add_means();
  void project(uint32_t column, uint32_t columns);
  void write_second_moment(ResumableWriter &file) const;
  void write_sketch(ResumableWriter &file) const;

  MomentsShape shape_;
  uint32_t d_, gathered_ = 0;
  uint64_t count_ = 0;
  const Omega *omega_;
  std::vector<float> block_, projected_;  ///< x [tokens, d]; x Omega [tokens, l]
  std::vector<double> mean_;
  double squared_norm_ = 0;
  std::vector<Tile> tiles_;
};

}  // namespace gsic

#endif
