// The largest logits of a head without reading all of it: a copy of W at few bits bounds every logit, and only rows
// that may be the largest are multiplied exactly, with the product of the whole head.
//
// Row i of the copy is c_i: 6 bits in groups, and `rank` columns, those where W is largest, in 8 bits. With h split
// into these columns, p, and the others, q,
//
//   |w_i h - c_i h| <= ||w_i - c_i||_p ||h||_p + ||w_i - c_i||_q ||h||_q
//
// by Cauchy-Schwarz. What rounding adds, of h to 16 bits, of both sums to f32, is at most a factor times
// ||w_i|| ||h||, and lies in the norms that are kept (compiler/layout/screen.ts). So the computed logit of row i is
// within bound_i of the computed c_i h, and a row whose upper bound is below the lower bound of another is not the
// largest. Norms so large that a product may overflow count as infinite: such rows are always multiplied.
//
// A copy begins with the numbers of its `rank` columns, 4 bytes each, up to 64 bytes. Then come tiles of sixteen rows
// as quantized.h has them, A being those columns, each followed by sixteen norms of q, and sixteen of p.
#ifndef GSIC_SCREEN_H
#define GSIC_SCREEN_H

#include "gsic/multiply.h"
#include "gsic/quantized.h"

namespace gsic {

/// Most columns that are kept in 8 bits.
constexpr int kScreenRank = kDotBlock;

/// How a copy of a head [out, d] lies, in bytes.
struct ScreenShape {
  int out, d, bits, group, rank;

  constexpr int blocks() const { return (d + kDotBlock - 1) / kDotBlock; }
  constexpr int tiles() const { return (out + kDotRows - 1) / kDotRows; }
  constexpr int header() const { return (4 * rank + 63) / 64 * 64; }
  constexpr int blocks_at() const { return kDotScalesAt + ((d + group - 1) / group * kDotRows + 63) / 64 * 64; }
  constexpr int a_at() const { return blocks_at() + blocks() * 64 * bits; }
  constexpr int norms_at() const { return a_at() + 64 + kDotRows * rank; }
  constexpr int tile_bytes() const { return norms_at() + 2 * 64; }
  /// Tiles one after another, for their core.
  constexpr DotTiles run(const uint8_t *copy, int first, int count) const {
    return {copy + header() + int64_t(first) * tile_bytes(),
            tile_bytes(),
            blocks_at(),
            blocks_at(),
            a_at(),
            count,
            blocks(),
            group / kDotBlock / 2,
            rank};
  }
};

/// A column of x as integers, in its two parts, and their norms.
struct ScreenColumn {
  DotColumn q, p;
  float q_norm, p_norm;
};

/// Not less than ||x||; infinite where a product with a row whose norms are finite may overflow.
inline float norm_above(const float *x, int width) {
  double sum = 0;
  for (int i = 0; i < width; i++) sum += double(x[i]) * x[i];
  const double norm = __builtin_sqrt(sum) * (1 + 0x1p-20);
  return norm < 1e18 ? float(norm) : __builtin_inff();
}

/// `x` [stride_of(d)] in its two parts. `rest`: as many floats; `blocks`: one more than x has.
inline void set_screen_column(const ScreenShape &shape, const uint8_t *copy, const float *x, float *rest,
                              DotBlock *blocks, ScreenColumn &column) {
  float p[kScreenRank] = {};
  memcpy(rest, x, sizeof(float) * stride_of(shape.d));
  for (int j = 0; j < shape.rank; j++) {
    uint32_t index;
    memcpy(&index, copy + 4 * j, sizeof index);
    index %= uint32_t(shape.d);  // what a damaged copy cannot leave
    p[j] = rest[index];
    rest[index] = 0.0f;
  }
  column.q.blocks = blocks;
  column.p.blocks = blocks + shape.blocks();
  ActivationCore<kDotBlock>::set(rest, shape.blocks(), column.q);
  ActivationCore<kDotBlock>::set(p, 1, column.p);
  column.q_norm = norm_above(rest, shape.d);
  column.p_norm = norm_above(p, shape.rank);
}

/// Makes upper bounds of a tile's logits, and gives their largest lower bound. `norms`: those behind the tile.
inline float bound_tile(const ScreenColumn &column, const float *norms, const float *estimates, float *uppers) {
  const f32x16 p = multiply(load(norms + kDotRows), broadcast(column.p_norm * (1 + 0x1p-20f)));
  const f32x16 bound =
      add(fma(load(norms), broadcast(column.q_norm * (1 + 0x1p-20f)), p), broadcast(1e-30f));  // of denormal numbers
  const f32x16 estimate = load(estimates);
  store(uppers, add(estimate, bound));
  return reduce_maximum(fma(bound, broadcast(-1.0f), estimate));
}

/// Upper bounds of this worker's share of the logits in y [16, stride_of(out)], and the largest lower bound of each
/// tile in `floors` [16, stride_of(tiles)]. `made`, `blocks` and `rest` are memory for the columns: one, one more than
/// x has blocks of each, and one x.
template <int Bits>
inline void screen(const gsic_worker &worker, const ScreenShape &shape, const Columns &columns, const uint8_t *copy,
                   const float *x, float *y, float *floors, ScreenColumn *made, DotBlock *blocks, float *rest) {
  DotInput input;
  input.count = columns.count;
  for (int i = 0; i < columns.count; i++) {
    set_screen_column(shape, copy, x + columns.index[i] * stride_of(shape.d), rest, blocks + i * (shape.blocks() + 1),
                      made[i]);
    input.x[i] = &made[i].q;
    input.g[i] = &made[i].p;
  }
  DotResult result;
  const Range tiles = share(worker, shape.tiles());
  for (int first = tiles.begin, count; first < tiles.end; first += count) {
    count = tiles.end - first < kDotRun ? tiles.end - first : kDotRun;
    const DotTiles run = shape.run(copy, first, count);
    DotCore<Bits, true>::multiply(run, input, result);
    for (int i = 0; i < columns.count; i++) {
      const int64_t column = columns.index[i];
      float *const uppers = y + column * stride_of(shape.out) + first * kDotRows;
      for (int tile = 0; tile < count; tile++) {
        const auto *norms = reinterpret_cast<const float *>(run.place + tile * run.bytes + shape.norms_at());
        floors[column * stride_of(shape.tiles()) + first + tile] =
            bound_tile(made[i], norms, result.y[i] + tile * kDotRows, uppers + tile * kDotRows);
      }
    }
  }
}

/// Whether any of `count` upper bounds reaches `floor`; what is no number does.
inline bool any_reaches(const float *uppers, int count, float floor) {
  int any = 0;
  for (int i = 0; i < count; i++) any |= !(uppers[i] < floor);
  return any != 0;
}

/// The logits of rows that may be the largest, in the place of their upper bounds; the least number for all other rows.
/// `run(first, rows)` multiplies rows of a tile of so many by all columns, `at(c, row)` is a result of it.
template <class Run, class At>
inline void rescore(const gsic_worker &worker, int out, int tile_rows, const Columns &columns, const float *floors,
                    float *y, Run run, At at) {
  constexpr float kLeast = -3.40282347e38f;
  const int tiles = (out + kDotRows - 1) / kDotRows;
  float floor[GSIC_MAX_COLUMNS];
  float *logits[GSIC_MAX_COLUMNS];
  for (int c = 0; c < columns.count; c++) {
    const float *const all = floors + int64_t(columns.index[c]) * stride_of(tiles);
    floor[c] = -__builtin_inff();
    for (int i = 0; i < tiles; i++) floor[c] = all[i] > floor[c] ? all[i] : floor[c];
    logits[c] = y + int64_t(columns.index[c]) * stride_of(out);
  }
  const auto may_win = [&](int first, int rows) {
    for (int c = 0; c < columns.count; c++)
      if (any_reaches(logits[c] + first, rows, floor[c])) return true;
    return false;
  };
  const auto clear = [&](int first, int rows) {
    for (int c = 0; c < columns.count; c++)
      for (int row = 0; row < rows; row++) logits[c][first + row] = kLeast;
  };
  // Rows that may win lie close together, so workers take runs in turn.
  for (int begin = int(worker.index) * kRunRows; begin < out; begin += int(worker.count) * kRunRows) {
    const int end = begin + kRunRows < out ? begin + kRunRows : out;
    if (!may_win(begin, end - begin)) {
      clear(begin, end - begin);
      continue;
    }
    for (int first = begin; first < end; first += tile_rows) {
      const int rows = end - first < tile_rows ? end - first : tile_rows;
      if (!may_win(first, rows)) {
        clear(first, rows);
        continue;
      }
      run(first, rows);
      for (int c = 0; c < columns.count; c++)
        for (int row = 0; row < rows; row++) logits[c][first + row] = at(c, row);
    }
  }
}

/// The same by a matrix [out, d].
template <class M>
inline void rescore(const gsic_worker &worker, M matrix, const Columns &columns, const float *x, const float *floors,
                    float *y) {
  if (columns.count == 0) return;
  Product<M> product(matrix, columns, x);
  rescore(
      worker, M::out, M::tile_rows, columns, floors, y, [&](int first, int rows) { product.run(matrix, first, rows); },
      [&](int c, int row) { return product.at(c, row); });
}

}  // namespace gsic

#endif
