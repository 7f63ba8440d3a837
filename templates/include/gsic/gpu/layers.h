// What is not a projection on a GPU: embeddings, norms that several launches read, and the choice of a token.
#ifndef GSIC_GPU_LAYERS_H
#define GSIC_GPU_LAYERS_H

#include "gsic/gpu/matrix.h"
#include "gsic/gpu/source.h"

namespace gsic {

/// Adds element range `unit` of row `index` of a table [Out, D].
template <class M> inline void add_unit(const M &table, int index, int unit, float (&y)[M::type::elements]) {
  float w[M::type::elements];
  decode_unit<typename M::type>(table.at(index, unit), unit, w);
  for (int i = 0; i < M::type::elements; i++) y[i] += w[i];
}

/// Stores elements `first` .. of a row of `Width`.
template <int Width, int N> inline void write_row(float *row, int first, const float (&y)[N]) {
  for (int i = 0; i < N; i++)
    if (Width % N == 0 || first + i < Width) store(row + first + i, y[i]);
}

/// The best of a lane, a wave, a workgroup: the largest logit, the lowest id among equals, and whether all are finite.
struct Best {
  float logit;
  int id;
  int finite;  ///< 1 or 0; a bool would be stored together with what pads it

  void add(const Best &other) {
    if (other.logit > logit || (other.logit == logit && other.id < id)) {
      logit = other.logit;
      id = other.id;
    }
    finite &= other.finite;
  }
};

template <int Mask = 1> inline Best wave_best(Best best) {
  if constexpr (Mask < kWave) {
    best.add({shuffle_xor<Mask>(best.logit), bits_as<int>(shuffle_xor<Mask>(bits_as<float>(best.id))),
              bits_as<int>(shuffle_xor<Mask>(bits_as<float>(best.finite)))});
    return wave_best<2 * Mask>(best);
  } else {
    return best;
  }
}

/// The best of some of a column's logits, which one lane takes in the order of their ids, sixteen bytes at a time.
template <int Waves, int Vocabulary> class LaneBest {
 public:
  /// Takes this lane's part of a turn: `depth` loads, all on the way together. The turn is the last if not all are
  /// there.
  template <bool Whole> void take(const float *logits, int begin) {
    f32x4 four[depth];
    GSIC_UNROLL
    for (int n = 0; n < depth; n++) {
      const int first = id_at(begin, 4 * n);
      // Behind the end the first ones are loaded, and left out.
      four[n] = load(reinterpret_cast<const f32x4 *>(logits + (Whole || first < Vocabulary ? first : 0)));
    }
    float largest = -__builtin_inff();
    int place = 0;
    GSIC_UNROLL
    for (int i = 0; i < 4 * depth; i++) {
      const float found = four[i / 4].v[i % 4];
      const bool there = Whole || id_at(begin, i) < Vocabulary;
      const float logit = there ? found : -__builtin_inff();
      const uint32_t size = there ? bits_as<uint32_t>(found) & 0x7fffffffu : 0u;
      place = logit > largest ? i : place;
      largest = logit > largest ? logit : largest;
      size_ = size > size_ ? size : size_;
    }
    if (!(largest > largest_)) return;
    largest_ = largest;
    id_ = id_at(begin, place);
  }
  Best best() const { return {largest_, id_, size_ < 0x7f800000u}; }

  static constexpr int depth = 8, turn = Waves * kWave * 4 * depth;

 private:
  static int id_at(int begin, int i) { return begin + (i / 4 * Waves * kWave + thread_index()) * 4 + i % 4; }

  float largest_ = -__builtin_inff();
  int id_ = 0x7fffffff;
  uint32_t size_ = 0;  ///< the largest |logit|, as bits: those of what is not finite are above all others
};

/// The best of each wave.
template <int Waves> struct Candidates {
  Best wave[Waves];
};

/// The arg-max of a column's logits by one workgroup; -1 if one of them is not finite. Beside it stands what was read
/// in the step.
template <int Waves, int Vocabulary>
inline void choose(const float *logits, const gsic_step *step, int column, gsic_choice *choice,
                   Candidates<Waves> &candidates) {
  using Lane = LaneBest<Waves, Vocabulary>;
  constexpr int whole = Vocabulary / Lane::turn * Lane::turn;
  Lane lane;
  GSIC_KEEP_LOOP
  for (int begin = 0; begin < whole; begin += Lane::turn) lane.template take<true>(logits, begin);
  if constexpr (whole < Vocabulary) lane.template take<false>(logits, whole);
  Best best = wave_best(lane.best());
  if (lane_index() == 0) candidates.wave[wave_index()] = best;
  barrier();
  if (thread_index() == 0) {
    for (int wave = 1; wave < Waves; wave++) best.add(candidates.wave[wave]);
    store(&choice->id, best.finite ? int32_t(best.id) : int32_t(-1));
    store(&choice->position, load_fresh(&step->column[column].position));
    store(&choice->token, load_fresh(&step->column[column].token));
  }
  barrier();
}

}  // namespace gsic

#endif
