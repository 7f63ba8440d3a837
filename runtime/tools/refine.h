// Rounded rows made better: levels, scales and minima by turns, under the whole second moment of the input.
#ifndef GSIC_TOOLS_REFINE_H
#define GSIC_TOOLS_REFINE_H

#include <vector>

#include "block_formats.h"
#include "second_moment.h"

namespace gsic {

/// H = C + ridge I [d, d], under which the error e of a row loses e H e^T: `matrix`, or factor factor^T + ridge I with
/// a factor [d, rank] where C is a sketch.
struct Curvature {
  size_t d = 0;
  size_t rank = 0;
  std::vector<float> matrix;
  std::vector<float> factor;
  float ridge = 0;
  /// Beside a factor, H within blocks of kMostBlock columns: row j holds H[j, b] to H[j, b + kMostBlock - 1] for the
  /// block's first column b.
  std::vector<float> band;
};

/// H of C and what is added to its diagonal.
Curvature curvature_of(const SecondMoment &moment, double ridge);

/// Rows as they are rounded: `values` [count, d] are wanted, `errors` [count, d] are what the rounded ones lack.
struct RoundedRows {
  const BlockFormat &format;
  size_t count, d;
  const float *values;
  float *errors;
  /// [count, d / format.elements].
  std::vector<BlockLines> lines;
  /// [count, d].
  std::vector<int8_t> levels;
};

/// Lowers e H e^T of each row by coordinate descent, block by block: the scale and the minimum of least squares for the
/// levels, then each level the best for all others (as CDQuant, Nair and Suggala 2024, arXiv 2406.17542). No row loses
/// more than before.
void refine_rows(const Curvature &curvature, RoundedRows &rows);

}  // namespace gsic

#endif
