// The dot products of one unit of a row with the staged columns, and how columns are staged for them.
//
// A dot has `columns`, `depth` (units that a lane loads ahead), `layout` (equal for dots that read the same staging),
// `elements` of a unit, `unit_bytes` of LDS, `cut_bytes`, of which as many as fit are a chunk of a row that is cut,
//   stage(lds, units, unit, column, read)   puts the unit's elements of a column in place; read(first, x) gives them
//   stage_four(lds, units, unit, group, x, in)   of the only column, elements 4 group .. 4 group + 3, the same bits;
//   lanes
//                                           that share a unit lie side by side, all call it, and those that have none
//                                           say so by `in`
//   fetch(matrix, tile, row, unit)          the weights of a unit, as they are stored
//   add(weights, lds, units, unit, row)     adds the products; `row` is this lane's of the tile
//   total(column)                           what this lane has added up
#ifndef GSIC_GPU_DOT_H
#define GSIC_GPU_DOT_H

#include "gsic/gpu/quantized.h"

namespace gsic {

/// Fused multiply-adds in f32. Staged [column][four elements of a unit][unit], so that lanes read side by side.
template <class W, int C> struct PlainDot {
  static constexpr int columns = C, layout = W::elements, elements = W::elements, groups = W::elements / 4;
  static constexpr int unit_bytes = C * W::elements * int(sizeof(float)), depth = C <= 4 ? 4 : 1;
  static constexpr int cut_bytes = unit_bytes;
  using Weights = typename W::Raw;

  float sum[C] = {};

  template <class Read> static void stage(uint8_t *lds, int units, int unit, int column, Read read) {
    f32x4 *place = reinterpret_cast<f32x4 *>(lds) + column * groups * units + unit;
    GSIC_KEEP_LOOP
    for (int group = 0; group < groups; group++) {
      float x[4];
      read(4 * group, x);
      place[group * units] = {{x[0], x[1], x[2], x[3]}};
    }
  }
  static void stage_four(uint8_t *lds, int units, int unit, int group, const float (&x)[4], bool in) {
    if (in) reinterpret_cast<f32x4 *>(lds)[group * units + unit] = {{x[0], x[1], x[2], x[3]}};
  }
  template <class M> static Weights fetch(const M &matrix, int tile, int row, int unit) {
    return W::fetch(matrix.at(tile, row, unit), unit);
  }
  void add(const Weights &weights, const uint8_t *lds, int units, int unit, int) {
    const f32x4 *place = reinterpret_cast<const f32x4 *>(lds) + unit;
    GSIC_UNROLL
    for (int group = 0; group < groups; group++) {
      float w[4];
      decode_group<W>(weights, group, w);
      GSIC_UNROLL
      for (int c = 0; c < C; c++) {
        const f32x4 x = place[(c * groups + group) * units];
        for (int i = 0; i < 4; i++) sum[c] = fma(w[i], x.v[i], sum[c]);
        if (C > 4 && c % 4 == 3) hold();
      }
    }
  }
  float total(int column) const { return sum[column]; }
};

/// The nearest bf16, its bits in the low half.
inline uint32_t to_bf16(float x) {
  const uint32_t bits = bits_as<uint32_t>(x);
  return x != x ? 0x7fc0u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

/// Two bf16 as one word.
inline uint32_t bf16_pair(uint32_t low, uint32_t high) { return low | high << 16; }

/// Columns for matrix cores. A column is staged as two bf16 numbers whose sum has sixteen bits of it: the rows of the
/// left matrix are [high, low] of two columns; its columns, and those of the weights, run along d; the four lanes of a
/// block hold four rows of weights. Eight elements of a row are 16 bytes. Of one column alone, products of the other
/// two rows are not read: these are zero, or where `Rows` is 2, the first two once more.
template <int C, int Rows> struct MatrixColumns {
  static constexpr int pairs = (C + 1) / 2, rows = Rows;
  f32x4 sum[pairs] = {};

  /// Four elements of a column as words of [high] and [low], in their order or in that of pairs; their sum, as matrix
  /// cores have them.
  template <bool Paired> static float split_four(const float *x, uint32_t *high, uint32_t *low) {
    float sum[2];
    GSIC_UNROLL
    for (int i = 0; i < 2; i++) {
      const float a = x[Paired ? i : 2 * i], b = x[Paired ? i + 2 : 2 * i + 1];
      high[i] = bf16_pair(to_bf16(a), to_bf16(b));
      const float high_a = bits_as<float>(high[i] << 16), high_b = bits_as<float>(high[i] & 0xffff0000u);
      low[i] = bf16_pair(to_bf16(a - high_a), to_bf16(b - high_b));
      sum[i] = high_a + bits_as<float>(low[i] << 16) + (high_b + bits_as<float>(low[i] & 0xffff0000u));
    }
    return sum[0] + sum[1];
  }
  /// Puts eight elements of a column where `place` holds those of its pair.
  template <bool Paired = false> static float split(u32x4 *place, int column, const float (&x)[8]) {
    u32x4 high, low;
    const float sum = split_four<Paired>(x, high.v, low.v), rest = split_four<Paired>(x + 4, high.v + 2, low.v + 2);
    place[column % 2 * 2] = high;
    place[column % 2 * 2 + 1] = low;
    if (C == 1 && Rows == 4) place[2] = place[3] = {};
    return sum + rest;
  }
  /// Puts the first or the second four of them there, of the only column.
  template <bool Paired = false> static float split_half(u32x4 *place, int half, const float (&x)[4]) {
    u32x2 high, low;
    const float sum = split_four<Paired>(x, high.v, low.v);
    u32x2 *halves = reinterpret_cast<u32x2 *>(place) + half;
    halves[0] = high;
    halves[2] = low;
    if (Rows == 4) halves[4] = halves[6] = {};
    return sum;
  }
  /// The products of eight elements of a row with those of a pair of columns, added to `sum`.
  static f32x4 multiply(const u32x4 &x, const u32x4 &w, f32x4 sum) {
    sum = matrix_dot({{x.v[0], x.v[1]}}, {{w.v[0], w.v[1]}}, sum);
    return matrix_dot({{x.v[2], x.v[3]}}, {{w.v[2], w.v[3]}}, sum);
  }
  float total(int column) const {
    const f32x4 &both = sum[column / 2];
    return column % 2 == 0 ? both.v[0] + both.v[1] : both.v[2] + both.v[3];
  }
};

/// A row's eight elements as bf16 numbers whose sums they are: one number each, or two of an f16, which has eleven
/// bits.
inline void as_bf16(const bf16::Raw &raw, bf16, u32x4 (&parts)[1]) { parts[0] = raw; }
inline void as_bf16(const f16::Raw &raw, f16, u32x4 (&parts)[2]) {
  GSIC_UNROLL
  for (int i = 0; i < 4; i++) {
    const float low = f16_to_f32(uint16_t(raw.v[i])), high = f16_to_f32(uint16_t(raw.v[i] >> 16));
    parts[0].v[i] = cut_pair(low, high);
    parts[1].v[i] =
        cut_pair(low - bits_as<float>(parts[0].v[i] << 16), high - bits_as<float>(parts[0].v[i] & 0xffff0000u));
  }
}

/// bf16 and f16 weights by matrix cores. Staged [pair of columns][unit][row of the left matrix][8].
template <class W, int C, int Parts> struct MatrixDot : MatrixColumns<C, C == 1 ? 2 : 4> {
  using Base = MatrixColumns<C, C == 1 ? 2 : 4>;
  static constexpr int columns = C, layout = 1, elements = 8;
  static constexpr int unit_bytes = Base::pairs * Base::rows * 16, depth = C <= 4 ? 4 : 2;
  static constexpr int cut_bytes = unit_bytes;
  using Weights = typename W::Raw;

  template <class Read> static void stage(uint8_t *lds, int units, int unit, int column, Read read) {
    float x[8];
    read(0, x);
    Base::split(reinterpret_cast<u32x4 *>(lds) + (column / 2 * units + unit) * Base::rows, column, x);
  }
  static void stage_four(uint8_t *lds, int, int unit, int group, const float (&x)[4], bool in) {
    if (in) Base::split_half(reinterpret_cast<u32x4 *>(lds) + unit * Base::rows, group, x);
  }
  template <class M> static Weights fetch(const M &matrix, int tile, int row, int unit) {
    return W::fetch(matrix.at(tile, row, unit), unit);
  }
  void add(const Weights &w, const uint8_t *lds, int units, int unit, int row) {
    const u32x4 *place = reinterpret_cast<const u32x4 *>(lds) + unit * Base::rows + row % Base::rows;
    u32x4 parts[Parts];
    as_bf16(w, W{}, parts);
    GSIC_UNROLL
    for (int pair = 0; pair < Base::pairs; pair++) {
      const u32x4 x = place[pair * units * Base::rows];
      GSIC_UNROLL
      for (int part = 0; part < Parts; part++) this->sum[pair] = Base::multiply(x, parts[part], this->sum[pair]);
    }
  }
};

/// Blocks by matrix cores. Integers, and a bias of theirs, are exact in bf16; scale and minimum are applied to
/// their sums, the bias among the minimum. So the sum of a unit's activations must be that of what the matrix cores
/// are given. Numbers of a table are several bf16 numbers each. Staged [pair of columns][run of eight
/// elements][unit][row of the left matrix][8], elements in the order of pairs, then sums [column][half][unit].
template <class W, int C> struct BlockDot : MatrixColumns<C, C == 1 ? 2 : 4> {
  using Base = MatrixColumns<C, C == 1 ? 2 : 4>;
  static constexpr int parts = pair_parts<W>;
  /// Stretches that are multiplied at a time: there are no registers for all parts of a unit.
  static constexpr int halves = W::two_scales || parts > 1 ? 2 : 1;
  static constexpr int columns = C, layout = 1 + halves, elements = 32;
  /// Of all columns, without their sums.
  static constexpr int element_bytes = Base::pairs * Base::rows * elements * 2;
  static constexpr int unit_bytes = element_bytes + halves * C * int(sizeof(float));
  /// As with four rows: longer chunks would take more registers than there are.
  static constexpr int cut_bytes = unit_bytes + Base::pairs * (4 - Base::rows) * elements * 2;
  static constexpr int depth = C == 1 ? 4 : C <= 4 ? 2 : 1;
  using Weights = typename W::Raw;

  static float *sums(uint8_t *lds, int units) { return reinterpret_cast<float *>(lds + element_bytes * units); }

  template <class Read> static void stage(uint8_t *lds, int units, int unit, int column, Read read) {
    u32x4 *place = reinterpret_cast<u32x4 *>(lds) + (column / 2 * 4 * units + unit) * Base::rows;
    float sum = 0, first = 0;
    GSIC_KEEP_LOOP
    for (int run = 0; run < 4; run++) {
      float x[8];
      read(8 * run, x);
      const float of_run = Base::template split<true>(place + run * units * Base::rows, column, x);
      sum = run % 2 == 0 ? of_run : sum + of_run;
      if (run % 2 == 0) continue;
      if (halves == 2 || run == 3)
        sums(lds, units)[(column * halves + run / 2 % halves) * units + unit] = halves == 2 ? sum : first + sum;
      first = sum;
    }
  }
  static void stage_four(uint8_t *lds, int units, int unit, int group, const float (&x)[4], bool in) {
    u32x4 *place = reinterpret_cast<u32x4 *>(lds) + (group / 2 * units + unit) * Base::rows;
    float sum = in ? Base::template split_half<true>(place, group % 2, x) : 0;
    sum += shuffle_xor<1>(sum);
    sum += shuffle_xor<2>(sum);
    if (halves == 1) sum += shuffle_xor<4>(sum);
    if (in && group % (8 / halves) == 0) sums(lds, units)[group / 4 * units + unit] = sum;
  }
  template <class M> static Weights fetch(const M &matrix, int tile, int row, int unit) {
    return W::fetch(matrix.at(tile, row, unit), unit);
  }
  void add(const Weights &w, const uint8_t *lds, int units, int unit, int row) {
    const u32x4 *place = reinterpret_cast<const u32x4 *>(lds) + unit * Base::rows + row % Base::rows;
    const float *of_unit = sums(const_cast<uint8_t *>(lds), units) + unit;
    GSIC_UNROLL
    for (int half = 0; half < halves; half++) {
      u32x4 q[4 / halves][parts];
      GSIC_UNROLL
      for (int i = 0; i < 16 / halves; i++) pair_of(w, 16 / halves * half + i, q[i / 4], i % 4);
      const float scale = W::scale(w, half);
      if (C > 4) hold();
      GSIC_UNROLL
      for (int first = 0; first < Base::pairs; first += together)
        add_runs(place, units, 4 / halves * half, first, q, scale);
      const float minimum = least(w, scale);
      GSIC_UNROLL
      for (int c = 0; c < C; c++) {
        float &sum = this->sum[c / 2].v[c % 2 * 2];
        sum = fma(minimum, of_unit[(c * halves + half) * units], sum);
      }
    }
  }

 private:
  /// Pairs of columns that are multiplied at a time: there are no registers for the products of all.
  static constexpr int together = Base::pairs < 4 ? Base::pairs : 4;

  /// Word `word` of eight elements, of every part.
  template <int Part = 0> static void pair_of(const Weights &w, int p, u32x4 (&q)[parts], int word) {
    if constexpr (parts == 1) {
      q[0].v[word] = W::pair(w, p);
    } else if constexpr (Part < parts) {
      q[Part].v[word] = W::template pair<Part>(w, p);
      pair_of<Part + 1>(w, p, q, word);
    }
  }
  /// What an activation is multiplied by besides the integers.
  static float least(const Weights &w, float scale) {
    if constexpr (W::two_scales)
      return scale * float(W::zero - kPairBias);
    else
      return W::pair_minimum(w);
  }
  /// Adds the products of runs of eight with the pairs of columns from `first` on.
  template <int Runs>
  void add_runs(const u32x4 *place, int units, int run, int first, const u32x4 (&q)[Runs][parts], float scale) {
    f32x4 products[together] = {};
    GSIC_UNROLL
    for (int i = 0; i < Runs; i++) {
      GSIC_UNROLL
      for (int pair = 0; pair < together; pair++) {
        const u32x4 x = place[((first + pair) * 4 + run + i) * units * Base::rows];
        for (int part = 0; part < parts; part++) products[pair] = Base::multiply(x, q[i][part], products[pair]);
        if (C > 4 && pair % 2 == 1) hold();
      }
    }
    GSIC_UNROLL
    for (int pair = 0; pair < together; pair++) {
      f32x4 &sum = this->sum[first + pair];
      // Of one column, the other two rows are not read.
      for (int i = 0; i < (C == 1 ? 2 : 4); i++) sum.v[i] = fma(scale, products[pair].v[i], sum.v[i]);
    }
    if (C > 4) hold();
  }
};

template <class W, int C, bool Matrix, bool Block> struct ChooseDot {
  using type = PlainDot<W, C>;
};
template <class W, int C> struct ChooseDot<W, C, true, true> {
  using type = BlockDot<W, C>;
};
template <int C> struct ChooseDot<bf16, C, true, false> {
  using type = MatrixDot<bf16, C, 1>;
};
template <int C> struct ChooseDot<f16, C, true, false> {
  using type = MatrixDot<f16, C, 2>;
};
/// The dot of a weight type for C columns on this device.
template <class W, int C> using Dot = typename ChooseDot<W, C, kMatrixCores, is_block<W>>::type;

}  // namespace gsic

#endif
