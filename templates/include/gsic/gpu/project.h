// y = W x for 1 to 16 columns on a GPU. A tile of four rows belongs to `Splits` waves of a workgroup, which take turns
// along d; a lane reads sixteen bytes of one row at a time. Batch-invariant: the order of additions depends neither on
// the number of columns nor on that of workgroups.
#ifndef GSIC_GPU_PROJECT_H
#define GSIC_GPU_PROJECT_H

#include "gsic/gpu/dot.h"
#include "gsic/gpu/source.h"

namespace gsic {

/// How a workgroup divides a projection: its waves, and how many of them share a tile.
template <int Waves, int Splits> struct Division {
  static constexpr int waves = Waves, splits = Splits, tiles = Waves / Splits;
  /// Units of a row that the waves of a tile read at once.
  static constexpr int round = kWave / kTileRows * Splits;
  static_assert(Waves % Splits == 0, "every tile has as many waves");
};

/// LDS of a projection: staged columns, and sums of one matrix or of a pair.
template <int Waves, int StageBytes, int Matrices> struct ProjectionMemory {
  static constexpr int stage_bytes = StageBytes, matrices = Matrices;
  alignas(16) uint8_t stage[StageBytes];
  float sums[Matrices][Waves][GSIC_MAX_COLUMNS * kTileRows];
};

/// Columns in LDS, a chunk of d at a time. All lanes call its functions alike.
template <class Work, class Source, int Bytes> class Stage {
 public:
  Stage(const Source &source, Columns columns, uint8_t *lds) : source_(source), columns_(columns), lds_(lds) {}

  /// Units of a chunk: all; as many whole rounds of the waves as fit; or a part of a round that divides it.
  template <class D> static constexpr int chunk_units() {
    constexpr int units = (Source::width + D::elements - 1) / D::elements, room = Bytes / D::cut_bytes;
    static_assert(room > 0, "a unit fits into LDS");
    if (units <= Bytes / D::unit_bytes) return units;
    if (room >= Work::round) return room / Work::round * Work::round;
    int part = Work::round;
    while (part > room) part /= 2;
    return part;
  }

  /// That others write to its memory.
  void forget() { staged_ = -1; }

  /// Makes a chunk readable.
  template <class D> const uint8_t *chunk(int number) {
    const int key = number * 64 + D::layout;
    if (key == staged_) return lds_;
    if (staged_ >= 0) barrier();
    staged_ = key;
    constexpr int units = chunk_units<D>();
    const int count = columns_.count(), first = number * units;
    for (int item = thread_index(); item < units * D::columns; item += Work::waves * kWave) {
      const int n = item / units, unit = item % units;
      D::stage(lds_, units, unit, n, [&](int within, auto &x) {
        const int element = (first + unit) * D::elements + within;
        for (float &one : x) one = 0;
        if (n < count && element < Source::width) source_.read(columns_.at(n), element, x);
      });
    }
    barrier();
    return lds_;
  }

  /// Makes the first chunk readable, of the only column, whose elements the lanes hold.
  template <class D, class Held> void take(const Held &held) {
    constexpr int units = chunk_units<D>(), groups = D::elements / 4, fours = units * groups;
    constexpr int lanes = Work::waves * kWave, turns = (fours + lanes - 1) / lanes;
    GSIC_UNROLL
    for (int turn = 0; turn < turns; turn++) {
      const int four = thread_index() + turn * lanes;
      const bool in = fours % lanes == 0 || four < fours;
      D::stage_four(lds_, units, in ? four / groups : 0, four % groups, held.four[turn].v, in);
    }
    staged_ = D::layout;
    barrier();
  }
  /// The first chunk, where nothing else was staged since.
  const uint8_t *taken() const { return lds_; }

 private:
  Source source_;
  Columns columns_;
  uint8_t *lds_;
  int staged_ = -1;
};

/// Adds the products of `N` rounds; all their weights are on the way before the first are multiplied.
template <int N, class Work, class D, class Fetch>
inline void accumulate_rounds(D &dot, Fetch fetch, int unit, const uint8_t *lds, int units, int row) {
  typename D::Weights weights[N];
  GSIC_UNROLL
  for (int i = 0; i < N; i++) weights[i] = fetch(unit + i * Work::round);
  GSIC_UNROLL
  for (int i = 0; i < N; i++) dot.add(weights[i], lds, units, unit + i * Work::round, row);
}

/// Adds the products of `Count` staged units, of which this wave takes every round's own; `first` is this lane's. Those
/// of `Added` rounds are in the sums already.
template <int Count, class D, class Work, int Added = 0, class M>
inline void accumulate_chunk(D &dot, const M &matrix, int tile, int begin, int first, const uint8_t *lds, int units) {
  constexpr int rounds = Count / Work::round, rest = (rounds - Added) % D::depth, batches = rounds - rest;
  const int row = lane_index() % kTileRows;
  const auto fetch = [&](int unit) { return D::fetch(matrix, tile, row, begin + unit); };
  GSIC_KEEP_LOOP
  for (int i = Added; i < batches; i += D::depth)
    accumulate_rounds<D::depth, Work>(dot, fetch, i * Work::round + first, lds, units, row);
  if constexpr (rest > 0) accumulate_rounds<rest, Work>(dot, fetch, batches * Work::round + first, lds, units, row);
  if constexpr (Count % Work::round != 0) {  // matrix cores take all lanes: those without a unit multiply zeros
    const int unit = rounds * Work::round + first;
    typename D::Weights weights{};
    if (unit < Count) weights = fetch(unit);
    dot.add(weights, lds, units, unit < Count ? unit : 0, row);
  }
}

/// The first unit of a row that is this lane's.
template <class Work> inline int own_unit() {
  return wave_index() % Work::splits * (kWave / kTileRows) + lane_index() / kTileRows;
}

/// Where no weights are on their way before a tile's turn.
struct NothingBegun {
  static constexpr int rounds = 0;
  static constexpr bool stays = false;
  template <class D> void add(D &, const uint8_t *) const {}
};

/// This lane's part of the dot products of a tile's rows with the staged columns, those of `begun` first.
template <class D, class Work, class M, class Staged, class Begun = NothingBegun>
inline void accumulate(D &dot, const M &matrix, int tile, Staged &stage, const Begun &begun = {}) {
  constexpr int units = Staged::template chunk_units<D>(), whole = M::units / units, rest = M::units % units;
  constexpr int done = Begun::rounds > 0 ? 1 : 0;
  const int mine = own_unit<Work>();
  if constexpr (done == 1) {
    const uint8_t *lds = Begun::stays ? stage.taken() : stage.template chunk<D>(0);
    if (tile < M::tiles) {
      begun.add(dot, lds);
      accumulate_chunk<units, D, Work, Begun::rounds>(dot, matrix, tile, 0, mine, lds, units);
    }
  }
  GSIC_KEEP_LOOP
  for (int number = done; number < whole; number++) {
    const uint8_t *lds = stage.template chunk<D>(number);
    const int begin = number * units, first = (mine + Work::round - begin % Work::round) % Work::round;
    if (tile < M::tiles) accumulate_chunk<units, D, Work>(dot, matrix, tile, begin, first, lds, units);
  }
  if constexpr (rest > 0) {
    constexpr int begin = whole * units;
    const uint8_t *lds = stage.template chunk<D>(whole);
    const int first = (mine + Work::round - begin % Work::round) % Work::round;
    if (tile < M::tiles) accumulate_chunk<rest, D, Work>(dot, matrix, tile, begin, first, lds, units);
  }
}

/// Ends the rows' sums, adds up the lanes of a wave that hold parts of the same row, and leaves the sums in LDS.
template <class D, class End, class Source>
inline void collect(const D &dot, const End &end, const Source &source, Columns columns, float *sums) {
  float total[D::columns];
  GSIC_UNROLL
  for (int c = 0; c < D::columns; c++) total[c] = dot.total(c);
  end.apply(total, source, columns);
  const int count = columns.count();
  GSIC_UNROLL
  for (int c = 0; c < D::columns; c++) {
    const float sum = wave_sum<kTileRows>(total[c]);
    if (c < count && lane_index() < kTileRows) sums[c * kTileRows + lane_index()] = sum;
  }
}

/// One tile's products, from its weights to the sums in LDS.
template <class D, class Work, class M, class Staged, class Source>
inline void multiply_tile(const M &matrix, int tile, Staged &stage, const Source &source, Columns columns,
                          float *sums) {
  const RowEnd<Work, M, D::columns <= 4> end(matrix, tile, own_unit<Work>());
  D dot;
  accumulate<D, Work>(dot, matrix, tile, stage);
  collect(dot, end, source, columns, sums);
}

/// Calls `finish(row, column, sum of each matrix)` for every output of a workgroup's tiles. Ends with a barrier.
template <class Work, int Out, class Memory, class Finish>
inline void finish_tiles(int group, Columns columns, const Memory &memory, Finish finish) {
  barrier();
  const int count = columns.count() * kTileRows;
  for (int item = thread_index(); item < Work::tiles * count; item += Work::waves * kWave) {
    const int local = item / count, place = item % count;
    const int row = (group * Work::tiles + local) * kTileRows + place % kTileRows;
    if (row >= Out) continue;
    float sum[Memory::matrices] = {};
    for (int kind = 0; kind < Memory::matrices; kind++)
      for (int split = 0; split < Work::splits; split++)
        sum[kind] += memory.sums[kind][local * Work::splits + split][place];
    finish(row, columns.at(place / kTileRows), sum);
  }
  barrier();
}

/// What an output element takes besides its sums: biases, a residual.
struct Addends {
  float value[2];
};

/// `finish(row, column, sum)` of `finish(row, column, sum, beside(row, column))`.
template <class Beside, class Finish> inline auto with_addends(Beside beside, Finish finish) {
  return [=](int row, int column, const float *sum) { finish(row, column, sum, beside(row, column)); };
}

/// Who computes a product: all workgroups together, or each the whole of it for itself.
enum class By { device, workgroup };

/// A source in the order of a matrix's columns.
template <class M, class Source> inline auto input_of(const M &matrix, const Source &source) {
  if constexpr (is_ordered<typename M::type>)
    return InOrder<Source>{source, matrix.order()};
  else
    return source;
}

/// y = W x, or Q x + A g where the source has g: `finish(row, column, sum[1])` receives every output element once, by
/// one workgroup or by each.
template <class Work, By Whom = By::device, class M, class Source, class Memory, class Finish>
inline void multiply(const M &matrix, Columns columns, const Source &source, Memory &memory, Finish finish) {
  if (columns.empty()) return;
  const int begin = Whom == By::device ? workgroup_index() : 0, step = Whom == By::device ? workgroup_count() : 1;
  with_column_count(columns.count(), [&](auto count) {
    using D = Dot<typename M::type, decltype(count)::value>;
    const auto input = input_of(matrix, source);
    Stage<Work, decltype(input_of(matrix, source)), Memory::stage_bytes> stage(input, columns, memory.stage);
    for (int group = begin; group * Work::tiles < M::tiles; group += step) {
      const int tile = group * Work::tiles + wave_index() / Work::splits;
      multiply_tile<D, Work>(matrix, tile, stage, source, columns, memory.sums[0][wave_index()]);
      finish_tiles<Work, M::out>(group, columns, memory, finish);
    }
  });
}

/// Two matrices of the same shape on the same input: `finish(row, column, sum[2])`.
template <class Work, class A, class B, class Source, class Memory, class Finish>
inline void multiply_pair(const A &first, const B &second, Columns columns, const Source &source, Memory &memory,
                          Finish finish) {
  static_assert(A::out == B::out && A::d == B::d, "a pair has one shape");
  if (columns.empty()) return;
  with_column_count(columns.count(), [&](auto count) {
    using DA = Dot<typename A::type, decltype(count)::value>;
    using DB = Dot<typename B::type, decltype(count)::value>;
    constexpr bool apart = is_ordered<typename A::type> || is_ordered<typename B::type>;
    Stage<Work, decltype(input_of(first, source)), Memory::stage_bytes> stage(input_of(first, source), columns,
                                                                              memory.stage);
    for (int group = workgroup_index(); group * Work::tiles < A::tiles; group += workgroup_count()) {
      const int tile = group * Work::tiles + wave_index() / Work::splits;
      multiply_tile<DA, Work>(first, tile, stage, source, columns, memory.sums[0][wave_index()]);
      if constexpr (apart) {  // each has columns in an order of its own
        barrier();
        stage.forget();
        Stage<Work, decltype(input_of(second, source)), Memory::stage_bytes> other(input_of(second, source), columns,
                                                                                   memory.stage);
        multiply_tile<DB, Work>(second, tile, other, source, columns, memory.sums[1][wave_index()]);
      } else {
        multiply_tile<DB, Work>(second, tile, stage, source, columns, memory.sums[1][wave_index()]);
      }
      finish_tiles<Work, A::out>(group, columns, memory, finish);
    }
  });
}

}  // namespace gsic

#endif
