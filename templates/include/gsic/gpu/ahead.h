// Projections of the first column alone, as decoding has it, whose first weights are on their way before the column is
// measured and staged. Memory operations of gfx9 come back in order: so the column comes with the step, and weights
// behind both. The bits are those of any other number of columns.
#ifndef GSIC_GPU_AHEAD_H
#define GSIC_GPU_AHEAD_H

#include "gsic/gpu/held.h"

namespace gsic {

/// The first weights of a tile's rows, on their way; nothing where a row has less than a round. `Stays`: nothing but
/// the first chunk is ever staged.
template <class D, class Work, class M, class Staged, bool Stays> class Begun {
 public:
  static constexpr int units = Staged::template chunk_units<D>(), whole = units / Work::round;
  static constexpr int rounds = whole < D::depth ? whole : D::depth;
  static constexpr bool stays = Stays && units == M::units;

  Begun(const M &matrix, int tile) : end(matrix, tile, own_unit<Work>()) {
    if (tile < M::tiles) fetch(matrix, tile);
  }
  /// Behind what is held of the column; then waits for that. `Sure`: there is such a tile. Behind a branch, the
  /// compiler would wait for the weights as well, since it could not know whether they are on their way.
  template <bool Sure, class Held> static Begun behind(const M &matrix, int tile, Held &held) {
    Begun begun(tile, matrix);
    if (Sure || tile < M::tiles) begun.fetch(matrix, tile);
    issued();
    held.arrive();
    return begun;
  }
  void add(D &dot, const uint8_t *lds) const {
    GSIC_UNROLL
    for (int i = 0; i < rounds; i++)
      dot.add(weights_[i], lds, units, own_unit<Work>() + i * Work::round, lane_index() % kTileRows);
  }

  RowEnd<Work, M, true> end;

 private:
  Begun(int tile, const M &matrix) : end(matrix, tile, own_unit<Work>()) {}
  void fetch(const M &matrix, int tile) {
    GSIC_UNROLL
    for (int i = 0; i < rounds; i++)
      weights_[i] = D::fetch(matrix, tile, lane_index() % kTileRows, own_unit<Work>() + i * Work::round);
  }

  typename D::Weights weights_[rounds > 0 ? rounds : 1];
};

/// The output of a group of tiles that is this lane's: its row, or -1.
template <class Work, int Out> inline int own_row(int group) {
  const int item = thread_index(), row = group * Work::tiles * kTileRows + item;
  return item < Work::tiles * kTileRows && row < Out ? row : -1;
}
template <class Work, int Out, class Beside> inline Addends own_addends(int group, Beside beside) {
  const int row = own_row<Work, Out>(group);
  return row < 0 ? Addends{} : beside(row, 0);
}

/// `finish_tiles` for the first column alone.
template <class Work, int Out, class Memory, class Finish>
inline void finish_alone(int group, const Memory &memory, const Addends &addends, Finish finish) {
  barrier();
  const int row = own_row<Work, Out>(group), local = thread_index() / kTileRows;
  if (row >= 0) {
    float sum[Memory::matrices] = {};
    for (int kind = 0; kind < Memory::matrices; kind++)
      for (int split = 0; split < Work::splits; split++)
        sum[kind] += memory.sums[kind][local * Work::splits + split][thread_index() % kTileRows];
    finish(row, 0, sum, addends);
  }
  barrier();
}

template <class Work> inline int tile_of(int group) { return group * Work::tiles + wave_index() / Work::splits; }

/// Takes the groups of tiles of a product whose outputs are `A`'s: `multiply(group, next, stage, begun)` leaves the
/// sums of a group, of which `begun` holds the first weights, and begins the next. `Only`: the kernel has no other
/// product, so that every workgroup has a group of it.
template <class Work, bool Only, class A, class D, class First, class Staged, class Source, class Memory, class Held,
          class Prepare, class Beside, class Finish, class Multiply>
inline void groups_alone(const A &matrix, const Source &source, Held &held, Memory &memory, Prepare prepare,
                         Beside beside, Finish finish, Multiply multiply) {
  Staged stage(source, Columns{1}, memory.stage);
  int group = workgroup_index();
  Addends addends = own_addends<Work, A::out>(group, beside);
  First begun = First::template behind < Only && A::tiles % Work::tiles == 0 > (matrix, tile_of<Work>(group), held);
  prepare();
  stage.template take<D>(held);
  while (group * Work::tiles < A::tiles) {
    const int next = group + workgroup_count();
    multiply(group, next, stage, begun);
    finish_alone<Work, A::out>(group, memory, addends, finish);
    addends = own_addends<Work, A::out>(next, beside);
    group = next;
  }
}

/// y = W x of the first column: `beside(row, 0)` gives the addends, `finish(row, 0, sum[1], addends)` receives the
/// output; `prepare()` makes of what `held` holds the input.
template <class Work, bool Only, class M, class Source, class Memory, class Held, class Prepare, class Beside,
          class Finish>
inline void multiply_alone(const M &matrix, const Source &source, Held &held, Memory &memory, Prepare prepare,
                           Beside beside, Finish finish) {
  using D = Dot<typename M::type, 1>;
  using Staged = Stage<Work, Source, Memory::stage_bytes>;
  using First = Begun<D, Work, M, Staged, true>;
  const auto multiply = [&](int group, int next, Staged &stage, First &begun) {
    D dot;
    accumulate<D, Work>(dot, matrix, tile_of<Work>(group), stage, begun);
    const auto end = begun.end;
    begun = First(matrix, tile_of<Work>(next));
    collect(dot, end, source, Columns{1}, memory.sums[0][wave_index()]);
  };
  groups_alone<Work, Only, M, D, First, Staged>(matrix, source, held, memory, prepare, beside, finish, multiply);
}

/// The same of two matrices of the same shape: `finish(row, 0, sum[2], addends)`.
template <class Work, bool Only, class A, class B, class Source, class Memory, class Held, class Prepare, class Beside,
          class Finish>
inline void multiply_pair_alone(const A &first, const B &second, const Source &source, Held &held, Memory &memory,
                                Prepare prepare, Beside beside, Finish finish) {
  using DA = Dot<typename A::type, 1>;
  using DB = Dot<typename B::type, 1>;
  using Staged = Stage<Work, Source, Memory::stage_bytes>;
  constexpr bool same = DA::layout == DB::layout;
  using First = Begun<DA, Work, A, Staged, same>;
  using Second = Begun<DB, Work, B, Staged, same>;
  const auto multiply = [&](int group, int next, Staged &stage, First &begun) {
    const int tile = tile_of<Work>(group);
    DA dot;
    accumulate<DA, Work>(dot, first, tile, stage, begun);
    const auto end = begun.end;
    const Second other(second, tile);
    collect(dot, end, source, Columns{1}, memory.sums[0][wave_index()]);
    DB last;
    accumulate<DB, Work>(last, second, tile, stage, other);
    begun = First(first, tile_of<Work>(next));
    collect(last, other.end, source, Columns{1}, memory.sums[1][wave_index()]);
  };
  groups_alone<Work, Only, A, DA, First, Staged>(first, source, held, memory, prepare, beside, finish, multiply);
}

}  // namespace gsic

#endif
