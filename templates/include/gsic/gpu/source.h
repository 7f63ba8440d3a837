// Where a kernel's input comes from: a value as it is, or normalised on the way in.
//
// A source has `width` and `read(column, first, x)`: elements first .. first + N - 1 of a column, zero beyond the
// width.
#ifndef GSIC_GPU_SOURCE_H
#define GSIC_GPU_SOURCE_H

#include "gsic/gpu/columns.h"

namespace gsic {

/// Elements `first` .. `first` + N - 1 of a row of `Width`; zero beyond. N is 1 or a multiple of 4, and divides
/// `first`.
template <int Width, int N> inline void read_row(const float *row, int first, float (&x)[N]) {
  if constexpr (N % 4 == 0) {
    GSIC_UNROLL
    for (int i = 0; i < N; i += 4) {
      const f32x4 four = load(reinterpret_cast<const f32x4 *>(row + first + i));
      for (int j = 0; j < 4; j++) x[i + j] = Width % N == 0 || first + i + j < Width ? four.v[j] : 0.0f;
    }
  } else {
    for (int i = 0; i < N; i++) x[i] = first + i < Width ? load(row + first + i) : 0.0f;
  }
}

template <int Width> struct Direct {
  static constexpr int width = Width;
  const float *value;

  template <int N> void read(int column, int first, float (&x)[N]) const {
    read_row<Width>(value + column * stride_of(Width), first, x);
  }
};

/// Another source in the order of a matrix's columns.
template <class Source> struct InOrder {
  static constexpr int width = Source::width;
  Source source;
  const int32_t *order;

  template <int N> void read(int column, int first, float (&x)[N]) const {
    for (int i = 0; i < N; i++) {
      float one[1] = {0};
      if (first + i < width) source.read(column, load(order + first + i), one);
      x[i] = one[0];
    }
  }
};

/// What a norm subtracts from a column and multiplies it by.
struct Moments {
  float mean, scale;
};
struct ColumnMoments {
  Moments column[GSIC_MAX_COLUMNS];
};

/// (x - mean) * scale * gain + bias; gain and bias are zero beyond the width.
template <int Width, bool Layer> struct Normalised {
  static constexpr int width = Width;
  const float *value, *gain, *bias;  ///< bias may be null
  const ColumnMoments *moments;

  template <int N> void read(int column, int first, float (&x)[N]) const {
    read_row<Width>(value + column * stride_of(Width), first, x);
    float factor[N];
    read_row<Width>(gain, first, factor);
    const Moments by = moments->column[column];
    GSIC_UNROLL
    for (int i = 0; i < N; i++) x[i] = (Layer ? x[i] - by.mean : x[i]) * by.scale * factor[i];
    if (!Layer || bias == nullptr) return;
    read_row<Width>(bias, first, factor);
    GSIC_UNROLL
    for (int i = 0; i < N; i++) x[i] += factor[i];
  }
};

/// Sums over the workgroup: each lane gives a part, and all get the whole, added up in one order.
template <int Waves, class T> struct WorkgroupSum {
  T part[GSIC_MAX_COLUMNS][Waves];

  /// Keeps a wave's part of a column's sum; a barrier must follow before `total`.
  void give(int column, T value) {
    value = wave_sum(value);
    if (lane_index() == 0) part[column][wave_index()] = value;
  }
  T total(int column) const {
    T sum = part[column][0];
    for (int wave = 1; wave < Waves; wave++) sum += part[column][wave];
    return sum;
  }
};

/// The sum of f(element) over the elements of a column that fall to this lane.
template <class T, int Waves, class Source, class Function>
inline T sum_in_lane(const Source &source, int column, Function f) {
  T sum = 0;
  for (int i = thread_index() * 4; i < Source::width; i += Waves * kWave * 4) {
    float x[4];
    source.read(column, i, x);
    for (int j = 0; j < 4; j++)
      if (Source::width % 4 == 0 || i + j < Source::width) sum += f(x[j]);
  }
  return sum;
}

/// Moments of columns, in LDS: mean and 1 / sqrt(var + epsilon), or 0 and 1 / sqrt(mean(x^2) + epsilon). All lanes call
/// it; it ends with a barrier.
template <int Waves, int Width, bool Layer>
inline void measure(const float *value, Columns columns, float epsilon, WorkgroupSum<Waves, float> &sums,
                    ColumnMoments &moments) {
  const Direct<Width> source{value};
  if (Layer) {
    for (int n = 0; n < columns.count(); n++)
      sums.give(n, sum_in_lane<float, Waves>(source, columns.at(n), [](float x) { return x; }));
    barrier();
    if (thread_index() < columns.count())
      moments.column[columns.at(thread_index())].mean = sums.total(thread_index()) / Width;
    barrier();
  }
  for (int n = 0; n < columns.count(); n++) {
    const float mean = Layer ? moments.column[columns.at(n)].mean : 0.0f;
    sums.give(n, sum_in_lane<float, Waves>(source, columns.at(n), [=](float x) { return (x - mean) * (x - mean); }));
  }
  barrier();
  if (thread_index() < columns.count()) {
    const float mean_square = sums.total(thread_index()) / Width;
    moments.column[columns.at(thread_index())].scale = 1.0f / __builtin_sqrtf(mean_square + epsilon);
  }
  barrier();
}

}  // namespace gsic

#endif
