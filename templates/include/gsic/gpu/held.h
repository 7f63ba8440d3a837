// The first column of a pass as the lanes of a workgroup hold it: loaded once, beside the step, to be measured,
// normalised and staged from registers.
#ifndef GSIC_GPU_HELD_H
#define GSIC_GPU_HELD_H

#include "gsic/gpu/attended.h"
#include "gsic/gpu/project.h"

namespace gsic {

/// `Count` elements of a row, four consecutive ones a lane and turn; zero beyond `Width`.
template <int Waves, int Width, int Count> struct HeldRow {
  static constexpr int lanes = Waves * kWave, turns = (Count + 4 * lanes - 1) / (4 * lanes);
  f32x4 four[turns];

  explicit HeldRow(const float *row) {
    GSIC_UNROLL
    for (int turn = 0; turn < turns; turn++) {
      const int first = 4 * (thread_index() + turn * lanes);
      four[turn] = {};
      if (first < Width) read_row<Width>(row, first, four[turn].v);
    }
  }
  /// Waits until it is there, and for nothing that was asked for behind it.
  void arrive() {
    GSIC_UNROLL
    for (int turn = 0; turn < turns; turn++)
      for (float &x : four[turn].v) is_there(x);
  }
};

/// The elements of a row that the first chunk of a projection holds for one column.
template <class Work, class W, int D, int StageBytes> constexpr int first_chunk() {
  using One = Dot<W, 1>;
  return Stage<Work, Direct<D>, StageBytes>::template chunk_units<One>() * One::elements;
}

/// An input that is not normalised, `Chunk` elements of it; `prepare` makes it what is staged.
template <int Waves, class Source, int Chunk> struct HeldColumn;
template <int Waves, int Width, int Chunk>
struct HeldColumn<Waves, Direct<Width>, Chunk> : HeldRow<Waves, Width, Chunk> {
  explicit HeldColumn(const float *value) : HeldRow<Waves, Width, Chunk>(value) {}
  void prepare() {}
};

/// Of what attention left of parts all that may be there is loaded, since the column's position comes with it.
template <int Waves, int Width, int HeadDim, class Cut, int Chunk>
struct HeldColumn<Waves, Attended<Width, HeadDim, Cut>, Chunk> {
  using Source = Attended<Width, HeadDim, Cut>;
  static constexpr int lanes = Waves * kWave, turns = (Chunk + 4 * lanes - 1) / (4 * lanes);
  f32x4 four[turns];

  explicit HeldColumn(const float *value) {
    const Source source{value};
    GSIC_UNROLL
    for (int turn = 0; turn < turns; turn++)
      if (first(turn) < Width) parts_[turn] = source.four(0, first(turn));
  }
  void arrive() {
    GSIC_UNROLL
    for (int turn = 0; turn < turns; turn++) parts_[turn].arrive();
  }
  void prepare() {
    GSIC_UNROLL
    for (int turn = 0; turn < turns; turn++) four[turn] = first(turn) < Width ? parts_[turn].together() : f32x4{};
  }

 private:
  static int first(int turn) { return 4 * (thread_index() + turn * lanes); }

  typename Source::Four parts_[turns];
};

/// An input that is normalised where it is held.
template <int Waves, int Width, int Chunk, bool Layer>
struct HeldNormalised : HeldRow<Waves, Width, (Chunk > Width ? Chunk : Width)> {
  using Row = HeldRow<Waves, Width, (Chunk > Width ? Chunk : Width)>;
  Row gain, bias;

  HeldNormalised(const float *value, const float *by, const float *plus)
      : Row(value), gain(by), bias(Layer && plus != nullptr ? plus : by) {}

  void arrive() {
    Row::arrive();
    gain.arrive();
    if (Layer) bias.arrive();
  }
  /// As `measure` and `Normalised` do it, in the same order. Leaves the moments in LDS for chunks behind the first; a
  /// barrier must follow before they are read. All lanes call it.
  void normalise(bool shifts, float epsilon, WorkgroupSum<Waves, float> &sums, ColumnMoments &moments) {
    float mean = 0;
    if (Layer) {
      sums.give(0, sum([](float x) { return x; }));
      barrier();
      mean = sums.total(0) / Width;
    }
    sums.give(1, sum([=](float x) { return (x - mean) * (x - mean); }));
    barrier();
    const float scale = 1.0f / __builtin_sqrtf(sums.total(1) / Width + epsilon);
    if (thread_index() == 0) moments.column[0] = {mean, scale};
    GSIC_UNROLL
    for (int turn = 0; turn < Row::turns; turn++)
      for (int i = 0; i < 4; i++) {
        float &x = this->four[turn].v[i];
        x = (Layer ? x - mean : x) * scale * gain.four[turn].v[i];
        if (Layer && shifts) x += bias.four[turn].v[i];
      }
  }

 private:
  template <class Function> float sum(Function f) const {
    float sum = 0;
    GSIC_UNROLL
    for (int turn = 0; turn < Row::turns; turn++)
      for (int i = 0; i < 4; i++) {
        const int element = 4 * (thread_index() + turn * Row::lanes) + i;
        if (element < Width) sum += f(this->four[turn].v[i]);
      }
    return sum;
  }
};

}  // namespace gsic

#endif
