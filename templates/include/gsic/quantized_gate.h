// The gate of the exact tier: ||S x|| < threshold ||x||, where S are random projections of the error at few bits.
#ifndef GSIC_QUANTIZED_GATE_H
#define GSIC_QUANTIZED_GATE_H

#include "gsic/gate.h"
#include "gsic/quantized.h"

namespace gsic {

/// Sorts columns by their predicted error; `projections` is S [P, D]. Every worker decides for itself, alike, so no
/// barrier is needed; worker 0 counts. A column of zeros has no error; one that is not finite is multiplied exactly.
template <class M, int K>
inline Decision decide(const gsic_worker &worker, const Columns &columns, M projections,
                       const QuantizedInput<M::d, K> &input, const float *x, double threshold, uint64_t *counters) {
  constexpr int stride = stride_of(M::out);
  float predicted[GSIC_MAX_COLUMNS * stride];
  multiply_whole(projections, columns, input, predicted, stride);
  Decision decision;
  for (int i = 0; i < columns.count; i++) {
    const int column = columns.index[i];
    const double norm = squared_norm(x + column * stride_of(M::d), M::d);
    const double error = squared_norm(predicted + column * stride, M::out);
    (norm == 0 || error < threshold * threshold * norm ? decision.closed : decision.open).push(column);
  }
  count(worker, decision, counters);
  return decision;
}

}  // namespace gsic

#endif
