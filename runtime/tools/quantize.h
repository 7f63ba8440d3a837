// Quantised matrices: a few bits a weight, a small scale a group, a float a row.
#ifndef GSIC_TOOLS_QUANTIZE_H
#define GSIC_TOOLS_QUANTIZE_H

#include <cstddef>
#include <cstdint>
#include <vector>

#include "feedback.h"

namespace gsic {

struct Quantizer {
  uint32_t bits = 8;
  uint32_t group = 64;
  bool symmetric = true;

  int levels() const { return (1 << bits) - 1; }
  size_t groups(size_t d) const { return (d + group - 1) / group; }
};

/// w[r][c] = row_scales[r] scales[r][g] (q[r][c] - zero[r][g]) with g = floor(c / group); zeros is empty where the
/// quantiser is symmetric, and zero is 2^(bits - 1).
struct QuantizedMatrix {
  Quantizer quantizer;
  size_t rows = 0;
  size_t d = 0;
  std::vector<uint8_t> q;
  std::vector<int8_t> scales;
  std::vector<uint8_t> zeros;
  std::vector<float> row_scales;

  QuantizedMatrix() = default;
  QuantizedMatrix(Quantizer quantizer, size_t rows, size_t d);
  /// Rows `first` to `first + count` - 1 as f32, each with `stride` elements from the next.
  void dequantize(size_t first, size_t count, float *to, size_t stride) const;
};

/// How values are rounded.
struct Rounding {
  /// Looks for the scale, and zero, of a group that lose least, each column's square weighted; else the group's range.
  bool search = true;
  /// The weight of each column's squared error, [d].
  const std::vector<float> *weights = nullptr;
  /// Null: each value is rounded to nearest.
  const Feedback *feedback = nullptr;
};

/// Rows that are quantised together; what a row becomes depends on no other row.
constexpr size_t kPanelRows = 64;

/// Quantises `count` <= kPanelRows rows of `values` [count, matrix.d] into `matrix` from row `first` on.
void quantize_rows(const float *values, size_t first, size_t count, const Rounding &rounding, QuantizedMatrix &matrix);

}  // namespace gsic

#endif
