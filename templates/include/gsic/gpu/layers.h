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

/// The best of each wave.
template <int Waves> struct Candidates {
  Best wave[Waves];
};

/// The arg-max of a column's logits by one workgroup; -1 if one of them is not finite. Beside it stands what was read
/// in the step.
template <int Waves, int Vocabulary>
inline void choose(const float *logits, const gsic_step *step, int column, gsic_choice *choice,
                   Candidates<Waves> &candidates) {
  Best best{-__builtin_inff(), 0x7fffffff, 1};
  for (int i = thread_index(); i < Vocabulary; i += Waves * kWave) {
    const float logit = load(logits + i);
    best.add({logit, i, (bits_as<uint32_t>(logit) & 0x7f800000u) != 0x7f800000u});
  }
  best = wave_best(best);
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
