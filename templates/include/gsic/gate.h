// The gate of the subspace form: rho = ||x - V g|| / ||x|| < epsilon, with g = V^T x and V [D, K] orthonormal.
#ifndef GSIC_GATE_H
#define GSIC_GATE_H

#include "gsic/multiply.h"

namespace gsic {

inline double squared_norm(const float *x, int width) {
  double sum = 0;
  for (int i = 0; i < width; i++) sum += double(x[i]) * x[i];
  return sum;
}

/// ||x - V g||^2, from the residual itself; squares are made in double, since they overflow f32. `basis` is V^T, packed
/// as a matrix [K, D].
template <class M> inline double squared_residual(M basis, const float *x, const float *g) {
  double sum = 0;
  for (int block = 0; block < basis.blocks; block++) {
    f32x16 r[2] = {load(x + 32 * block), load(x + 32 * block + 16)};
    for (int row = 0; row < basis.out; row++) {
      f32x16 v[2];
      basis.decode_row(row, block, v);
      for (int half = 0; half < 2; half++) r[half] = fma(broadcast(-g[row]), v[half], r[half]);
    }
    for (int half = 0; half < 2; half++) {
      float lanes[kLanes];
      store(lanes, r[half]);
      sum += squared_norm(lanes, kLanes);
    }
  }
  return sum;
}

/// Whether the residual may be left out: ||r||^2 < epsilon^2 ||x||^2, where ||r||^2 = ||x||^2 - ||g||^2.
/// That difference cancels, and V is rounded to f16: close to the threshold the residual itself decides.
template <class M> inline bool gate_closed(M basis, const float *x, const float *g, double epsilon) {
  const double norm = squared_norm(x, basis.d);
  if (!(norm > 0)) return norm == 0;
  const double threshold = epsilon * epsilon;
  double ratio = 1 - squared_norm(g, basis.out) / norm;
  if (ratio < threshold + 1e-3 && ratio > threshold - 1e-3) ratio = squared_residual(basis, x, g) / norm;
  return ratio < threshold;
}

/// Columns by their gate.
struct Decision {
  Columns closed, open;
};

/// Worker 0 counts for all; without counters nobody does.
inline void count(const gsic_worker &worker, const Decision &decision, uint64_t *counters) {
  if (worker.index != 0 || !counters) return;
  counters[0] += uint64_t(decision.closed.count);
  counters[1] += uint64_t(decision.open.count);
}

/// Sorts columns by their gate. Every worker decides for itself, alike, so no barrier is needed; worker 0 counts.
template <class M>
inline Decision decide(const gsic_worker &worker, const Columns &columns, M basis, const float *x, const float *g,
                       double epsilon, uint64_t *counters) {
  Decision decision;
  for (int i = 0; i < columns.count; i++) {
    const int column = columns.index[i];
    const bool closed = gate_closed(basis, x + column * stride_of(basis.d), g + column * stride_of(basis.out), epsilon);
    (closed ? decision.closed : decision.open).push(column);
  }
  count(worker, decision, counters);
  return decision;
}

}  // namespace gsic

#endif
