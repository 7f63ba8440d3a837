// The gates on a GPU. Of the subspace: rho = ||x - V g|| / ||x|| < epsilon, with g = V^T x and V [D, K] orthonormal. Of
// the exact tier: ||S x|| < threshold ||x||. Every workgroup decides for itself, alike, in the launch that uses the
// decision: the host never waits for a gate.
#ifndef GSIC_GPU_GATE_H
#define GSIC_GPU_GATE_H

#include "gsic/gpu/project.h"

namespace gsic {

/// LDS of a gate.
template <int Waves> struct GateMemory {
  double ratio[GSIC_MAX_COLUMNS];  ///< ||r||^2 / ||x||^2
  WorkgroupSum<Waves, double> sums;
};

/// The products of an input with its factors, side by side in `Width` elements a column: B^T x, V^T x, S x; and
/// ||x||^2. As an earlier launch left them:
template <int Width> struct GivenFactors {
  const float *value;
  const double *squares;

  float at(int column, int i) const { return load(value + column * stride_of(Width) + i); }
  double square(int column) const { return load(squares + column); }
  template <int End, int N> void read(int column, int first, float (&x)[N]) const {
    read_row<End>(value + column * stride_of(Width), first, x);
  }
};

/// In LDS, as a workgroup computed them for itself:
template <int Width> struct FactorsMemory {
  alignas(16) float value[GSIC_MAX_COLUMNS][Width];
  double squares[GSIC_MAX_COLUMNS];
};
template <int Width> struct OwnFactors {
  const FactorsMemory<Width> &memory;

  float at(int column, int i) const { return memory.value[column][i]; }
  double square(int column) const { return memory.squares[column]; }
  template <int End, int N> void read(int column, int first, float (&x)[N]) const {
    GSIC_UNROLL
    for (int i = 0; i < N; i++) x[i] = first + i < End ? memory.value[column][first + i] : 0.0f;
  }
};

/// Elements Begin .. Begin + Count - 1 of them. A source, too; Begin is a multiple of 8.
template <class Factors, int Begin, int Count> struct Coordinates {
  static constexpr int width = Count;
  Factors factors;

  float coordinate(int column, int i) const { return factors.at(column, Begin + i); }
  double square(int column) const { return factors.square(column); }
  template <int N> void read(int column, int first, float (&x)[N]) const {
    factors.template read<Begin + Count>(column, Begin + first, x);
  }
};
template <int Begin, int Count, class Factors>
inline Coordinates<Factors, Begin, Count> part_of(const Factors &factors) {
  return {factors};
}

/// `give(column, ||x||^2)` for every column, in one lane. All lanes of the workgroup call it.
template <int Waves, class Source, class Give>
inline void square_columns(const Source &source, Columns columns, WorkgroupSum<Waves, double> &sums, Give give) {
  for (int n = 0; n < columns.count(); n++)
    sums.give(n, sum_in_lane<double, Waves>(source, columns.at(n), [](float x) { return double(x) * x; }));
  barrier();
  const int n = thread_index();
  if (n < columns.count()) give(columns.at(n), sums.total(n));
  barrier();
}

/// The product of columns with one factor, by every workgroup for itself, as elements `Begin` on.
template <class Work, int Begin, int Width, class M, class Source, class Memory>
inline void compute_factor(const M &factor, Columns columns, const Source &source, Memory &memory,
                           FactorsMemory<Width> &own) {
  multiply<Work, By::workgroup>(factor, columns, source, memory, [&](int row, int column, const float *sum) {
    own.value[column][Begin + row] = sum[0];
  });
}

/// B^T x in LDS, from where an earlier launch left it.
template <int Rank> struct CorrectionMemory {
  alignas(16) float value[GSIC_MAX_COLUMNS][Rank];
};
template <int Waves, int Width, int Rank>
inline void take_correction(const GivenFactors<Width> &given, Columns columns, CorrectionMemory<Rank> &memory) {
  for (int item = thread_index(); item < columns.count() * Rank; item += Waves * kWave) {
    const int column = columns.at(item / Rank);
    memory.value[column][item % Rank] = given.at(column, item % Rank);
  }
  barrier();
}

/// Columns by what is known of their gate.
struct Decision {
  Columns closed, open, near;
};

/// By ||r||^2 = ||x||^2 - ||g||^2. That difference cancels, and V is rounded to f16: columns close to the threshold
/// stay undecided. All lanes call it.
template <int Waves, class Coordinates>
inline Decision decide_by_norms(Columns columns, const Coordinates &g, double epsilon, GateMemory<Waves> &memory) {
  for (int n = wave_index(); n < columns.count(); n += Waves) {
    const int column = columns.at(n);
    double sum = 0;
    for (int i = lane_index(); i < Coordinates::width; i += kWave) {
      const float value = g.coordinate(column, i);
      sum += double(value) * value;
    }
    const double square = g.square(column), length = wave_sum(sum);
    if (lane_index() == 0) memory.ratio[column] = square > 0 ? 1 - length / square : square == 0 ? -1.0 : 2.0;
  }
  barrier();
  const double threshold = epsilon * epsilon;
  Decision decision{{0}, {0}, {0}};
  for (int n = 0; n < columns.count(); n++) {
    const int column = columns.at(n);
    const double ratio = memory.ratio[column];
    const bool near = ratio < threshold + 1e-3 && ratio > threshold - 1e-3;
    (near ? decision.near : ratio < threshold ? decision.closed : decision.open).mask |= 1u << column;
  }
  return decision;
}

/// Decides the columns that are near the threshold by the residual itself. `basis` is V^T [K, D]. All lanes call it.
template <int Waves, class M, class Source, class Coordinates>
inline void settle(Decision &decision, const M &basis, const Source &source, const Coordinates &g, double epsilon,
                   GateMemory<Waves> &memory) {
  constexpr int elements = M::type::elements;
  for (int n = 0; n < decision.near.count(); n++) {
    const int column = decision.near.at(n);
    double sum = 0;
    for (int unit = thread_index(); unit < M::units; unit += Waves * kWave) {
      float r[elements];
      source.read(column, unit * elements, r);
      for (int row = 0; row < M::out; row++) {
        float v[elements];
        decode_unit<typename M::type>(basis.at(row, unit), unit, v);
        const float along = g.coordinate(column, row);
        for (int i = 0; i < elements; i++) r[i] = fma(-along, v[i], r[i]);
      }
      for (int i = 0; i < elements; i++) sum += double(r[i]) * r[i];
    }
    memory.sums.give(n, sum);
  }
  barrier();
  for (int n = 0; n < decision.near.count(); n++) {
    const int column = decision.near.at(n);
    const bool closed = memory.sums.total(n) / g.square(column) < epsilon * epsilon;
    (closed ? decision.closed : decision.open).mask |= 1u << column;
  }
  barrier();
}

/// By ||S x|| < threshold ||x||, of a column of zeros too: there is no error then. All lanes call it.
template <int Waves, class Projected>
inline Decision decide_by_error(Columns columns, const Projected &projected, double threshold,
                                GateMemory<Waves> &memory) {
  Decision decision{{0}, {0}, {0}};
  if (columns.empty()) return decision;
  barrier();  // the ratios of a gate before this one are read
  for (int n = wave_index(); n < columns.count(); n += Waves) {
    const int column = columns.at(n);
    double sum = 0;
    for (int i = lane_index(); i < Projected::width; i += kWave) {
      const float value = projected.coordinate(column, i);
      sum += double(value) * value;
    }
    const double square = projected.square(column), length = wave_sum(sum);
    if (lane_index() == 0) memory.ratio[column] = square > 0 ? length / square : square == 0 ? -1.0 : square;
  }
  barrier();
  for (int n = 0; n < columns.count(); n++) {
    const int column = columns.at(n);
    (memory.ratio[column] < threshold * threshold ? decision.closed : decision.open).mask |= 1u << column;
  }
  return decision;
}

/// Adds the tokens per tier; `counters` may be null.
inline void count_tiers(const Decision &decision, uint64_t *counters) {
  if (counters == nullptr || workgroup_index() != 0 || thread_index() != 0) return;
  store(counters, load(counters) + uint64_t(decision.closed.count()));
  store(counters + 1, load(counters + 1) + uint64_t(decision.open.count()));
}

}  // namespace gsic

#endif
