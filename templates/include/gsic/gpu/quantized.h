// Matrices at 3, 4, 5, 6 or 8 bits on GPUs: w = row scale * scale * (q - zero), with an i8 scale, and a zero point if
// it is not symmetric, for a group of elements. Planes as in weights.h, with those of a tile's rows behind them:
//   low, high      the integers, 32 elements a unit: `Quants`
//   scales         i8 scale, or i8 scale and u8 zero point, for every group
//   row scales     f32 for each row
//   low rank       f32 scale for each row, then A [row, Rank] in units of sixteen i8; if Rank > 0
// The integers are multiplied as those of blocks are; the row's scale is applied to the row's sum, and A g added to it.
// compiler/layout/quantized-planes.ts writes the same layout.
#ifndef GSIC_GPU_QUANTIZED_H
#define GSIC_GPU_QUANTIZED_H

#include "gsic/gpu/columns.h"
#include "gsic/gpu/matrix.h"

namespace gsic {

inline u32x2 eight_at(const uint8_t *p) { return load_once(reinterpret_cast<const u32x2 *>(p)); }

/// Thirty-two integers of `Bits` bits in as many words, as pairs (weights.h): the first of a pair is in the low half of
/// a word, the second at the same place of its high half. A half has `whole` places, and the pairs that are left lie in
/// what is left of all halves, one after the other.
template <int Bits> struct Fields {
  static constexpr int whole = 16 / Bits, rest = 16 - whole * Bits;
  uint32_t word[Bits];

  /// Pair p, and the bits of `base` besides.
  uint32_t pair(int p, uint32_t base) const {
    constexpr uint32_t both = 0x00010001u;
    if (p < Bits * whole) return and_or(word[p % Bits] >> (Bits * (p / Bits)), both * ((1u << Bits) - 1), base);
    const int first = (p - Bits * whole) * Bits;
    uint32_t found = base;
    GSIC_UNROLL
    for (int w = 0; w < Bits; w++) {
      const int begin = first > w * rest ? first : w * rest;
      const int end = first + Bits < (w + 1) * rest ? first + Bits : (w + 1) * rest;
      if (begin >= end) continue;
      const int to = begin - first, from = whole * Bits + begin - w * rest;
      found = and_or(word[w] >> (from - to), both * (((1u << (end - begin)) - 1) << to), found);
    }
    return found;
  }
  int at(int i) const { return int(pair(i / 4 * 2 + i % 2, 0) >> (i % 4 / 2 * 16) & ((1u << Bits) - 1)); }
};

/// The integers of a unit in registers. `low` and `high` are the bytes of its planes; `offset` is what they are stored
/// less; `pair` adds `bias`.
template <int Bits> struct Quants;
template <> struct Quants<3> {
  static constexpr int low = 8, high = 4, offset = 0, bias = kPairBias;
  Fields<3> fields;
  static Quants fetch(const UnitAddress &unit) {
    const u32x2 two = eight_at(unit.plane[0]);
    return {{{two.v[0], two.v[1], word_at(unit.plane[1])}}};
  }
  int at(int i) const { return fields.at(i); }
  uint32_t pair(int p) const { return fields.pair(p, held(kPairBase)); }
};
template <> struct Quants<4> {
  static constexpr int low = 16, high = 0, offset = 0, bias = kPairBias;
  u32x4 four;
  static Quants fetch(const UnitAddress &unit) { return {sixteen_at(unit.plane[0])}; }
  int at(int i) const { return nibble(four, i); }
  uint32_t pair(int p) const { return nibble_pair(four, p); }
};
template <> struct Quants<5> {
  static constexpr int low = 16, high = 4, offset = 0, bias = kPairBias;
  Fields<5> fields;
  static Quants fetch(const UnitAddress &unit) {
    const u32x4 four = sixteen_at(unit.plane[0]);
    return {{{four.v[0], four.v[1], four.v[2], four.v[3], word_at(unit.plane[1])}}};
  }
  int at(int i) const { return fields.at(i); }
  uint32_t pair(int p) const { return fields.pair(p, held(kPairBase)); }
};
template <> struct Quants<6> {
  static constexpr int low = 16, high = 8, offset = 0, bias = kPairBias;
  Fields<6> fields;
  static Quants fetch(const UnitAddress &unit) {
    const u32x4 four = sixteen_at(unit.plane[0]);
    const u32x2 two = eight_at(unit.plane[1]);
    return {{{four.v[0], four.v[1], four.v[2], four.v[3], two.v[0], two.v[1]}}};
  }
  int at(int i) const { return fields.at(i); }
  uint32_t pair(int p) const { return fields.pair(p, held(kPairBase)); }
};
template <> struct Quants<8> {
  static constexpr int low = 16, high = 16, offset = 128, bias = 0;
  u32x4 half[2];
  static Quants fetch(const UnitAddress &unit) { return {{sixteen_at(unit.plane[0]), sixteen_at(unit.plane[1])}}; }
  int at(int i) const { return int8_t(half[i / 16].v[i % 16 / 4] >> (8 * (i % 4))); }
  uint32_t pair(int p) const { return cut_pair(float(at(pair_element(p))), float(at(pair_element(p) + 2))); }
};

/// Blocks of integers whose scales are integers too; the row's scale is left to `RowEnd`.
template <int Bits, int Group, bool Symmetric> struct quantized {
  using Integers = Quants<Bits>;
  static constexpr int elements = 32;
  static constexpr Plane planes[] = {{Integers::low, 1}, {Integers::high, 1}, {Symmetric ? 1 : 2, Group / elements}};
  /// `group`: the scale in its low byte, the zero point in its high one.
  struct Raw {
    Integers integers;
    uint16_t group;
  };
  static Raw fetch(const UnitAddress &unit, int) {
    const uint8_t *group = unit.plane[2];
    return {Integers::fetch(unit), Symmetric ? uint16_t(load(group)) : half_word_at(group)};
  }
  static int quant(const Raw &raw, int i) { return raw.integers.at(i); }
  static float scale(const Raw &raw, int) { return float(int8_t(raw.group)); }
  static float minimum(const Raw &raw) { return times_zero(raw, Integers::offset); }
  static constexpr bool two_scales = false;
  static uint32_t pair(const Raw &raw, int p) { return raw.integers.pair(p); }
  static float pair_minimum(const Raw &raw) { return times_zero(raw, Integers::offset - Integers::bias); }

 private:
  /// The scale times what is left of `of` less the zero point: exact in f32.
  static float times_zero(const Raw &raw, int of) {
    const int zero = Symmetric ? 1 << (Bits - 1) : raw.group >> 8;
    return float(int8_t(raw.group) * (of - zero));
  }
};
template <int Bits, int Group, bool Symmetric> constexpr bool is_row_scaled<quantized<Bits, Group, Symmetric>> = true;

/// A source with g = B^T x beside it, in LDS: `Stride` floats a column, a multiple of four.
template <class Source, int Stride> struct Corrected : Source {
  const float *g;

  Corrected(const Source &source, const float *of_columns) : Source(source), g(of_columns) {}
  const float *correction(int column) const { return g + column * Stride; }
};

template <int Stride, class Source>
inline Corrected<Source, Stride> with_correction(const Source &source, const float *g) {
  return {source, g};
}

/// What becomes of a lane's sums of a row when all its units are added: nothing.
template <class Work, class M, bool Early, bool Scaled = is_row_scaled<typename M::type>> struct RowEnd {
  RowEnd(const M &, int, int) {}
  template <int C, class Source> void apply(float (&)[C], const Source &, Columns) const {}
};

/// They are multiplied by the row's scale, and the lane's part of A g is added. What that takes is on the way before
/// the row's units are, if `Early`: there are registers for it where columns are few.
template <class Work, class M, bool Early> struct RowEnd<Work, M, Early, true> {
  static constexpr int units = M::low_rank_units, elements = M::low_rank_elements;

  /// `unit`: the first of this lane.
  RowEnd(const M &matrix, int tile, int unit) : matrix_(matrix), tile_(tile), mine_(unit) {
    if (!Early || tile >= M::tiles) return;
    scale_ = matrix_.row_scale(tile_, row());
    if (M::rank == 0) return;
    low_rank_scale_ = matrix_.low_rank_scale(tile_, row());
    if (mine_ < units) first_ = matrix_.low_rank(tile_, row(), mine_);
  }

  template <int C, class Source> void apply(float (&sum)[C], const Source &source, Columns columns) const {
    if (tile_ >= M::tiles) return;
    const float scale = Early ? scale_ : matrix_.row_scale(tile_, row());
    for (float &one : sum) one *= scale;
    if constexpr (M::rank > 0) {
      const float low_rank_scale = Early ? low_rank_scale_ : matrix_.low_rank_scale(tile_, row());
      GSIC_KEEP_LOOP
      for (int unit = mine_; unit < units; unit += Work::round)
        add_unit(Early && unit == mine_ ? first_ : matrix_.low_rank(tile_, row(), unit), unit, low_rank_scale, sum,
                 source, columns);
    }
  }

 private:
  static int row() { return lane_index() % kTileRows; }

  template <int C, class Source>
  static void add_unit(const u32x4 &raw, int unit, float scale, float (&sum)[C], const Source &source,
                       Columns columns) {
    float a[elements];
    GSIC_UNROLL
    for (int i = 0; i < elements; i++) a[i] = scale * float(int8_t(raw.v[i / 4] >> (8 * (i % 4))));
    uint32_t rest = columns.mask;
    GSIC_UNROLL
    for (int c = 0; c < C; c++) {
      const float *g = source.correction(__builtin_ctz(rest)) + unit * elements;
      if ((rest & (rest - 1)) != 0) rest &= rest - 1;
      float along = 0;
      GSIC_UNROLL
      for (int i = 0; i < elements; i += 4) {
        if (M::rank % elements != 0 && unit * elements + i >= M::rank) continue;
        const f32x4 four = *reinterpret_cast<const f32x4 *>(g + i);
        for (int j = 0; j < 4; j++) along = fma(a[i + j], four.v[j], along);
      }
      sum[c] += along;
      if (C > 4) hold();
    }
  }

  M matrix_;
  int tile_, mine_;
  float scale_ = 0, low_rank_scale_ = 0;
  u32x4 first_{};
};

}  // namespace gsic

#endif
