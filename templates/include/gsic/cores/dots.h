// Products at few bits with 1 to 16 columns: the core of Quantized.
#ifndef GSIC_CORES_DOTS_H
#define GSIC_CORES_DOTS_H

#include "gsic/cores/blocks.h"
#include "gsic/quantized.h"

namespace gsic {

/// How far ahead of its reads a tile of rows of so many blocks is prefetched, in bytes. For one column on a Zen 4, two
/// threads, weights in huge pages: rows of 576 to 2048 are read 1.1 to 1.4 times as fast as by the hardware's own
/// prefetching, rows of 4096 1.1 to 1.2 times at twice the distance.
constexpr int prefetch_distance(int columns, int blocks) { return columns == 1 && blocks >= 128 ? 2048 : 1024; }

/// Register J of q in a plane of Width bits, moved to bit To of each byte; the other bits are anything.
template <int Width, int J, int To> inline i32x16 from_plane(const uint8_t *plane) {
  return moved<To - J * Width % 8>(load_i32(plane + J * Width / 8 * 64));
}

/// Register J of a block.
template <int Bits, int J> inline i32x16 register_of(const uint8_t *block) {
  constexpr int lower = Bits == 8 ? 8 : Bits == 3 ? 2 : 4, upper = Bits - lower;
  const i32x16 q = from_plane<lower, J, 0>(block);
  if constexpr (lower == 8) {
    return q;
  } else {
    const i32x16 masked = bit_and(q, broadcast_i32(((1 << lower) - 1) * 0x01010101));
    if constexpr (upper == 0)
      return masked;
    else
      return or_masked(masked, from_plane<upper, J, lower>(block + 64 * lower),
                       broadcast_i32((((1 << upper) - 1) << lower) * 0x01010101));
  }
}

/// Adds the registers of a block from J on to the sums of C columns, times the quads of block number `index`.
template <int Bits, int C, int J = 0>
inline void dot_block(const uint8_t *block, const DotBlock *const *x, int index, DotSum (&sums)[C]) {
  if constexpr (J < 8) {
    const i32x16 q = register_of<Bits, J>(block);
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) dot(sums[c], q, x[c][index].quads[J]);
    dot_block<Bits, C, J + 1>(block, x, index, sums);
  }
}

/// row scale * the column's power of two * total.
inline f32x16 scaled(f32x16 total, const float (&factor)[2], const uint8_t *row_scales) {
  const f32x16 row = load(reinterpret_cast<const float *>(row_scales));
  return multiply(multiply(multiply(total, broadcast(factor[0])), row), broadcast(factor[1]));
}

/// The products of a tile's rows with C columns of x.
template <int Bits, bool Symmetric, int C>
inline void dot_tile(const DotTiles &tiles, const uint8_t *tile, const DotColumn *const *columns, f32x16 (&y)[C]) {
  const DotBlock *x[C];
  f32x16 total[C];
  for (int c = 0; c < C; c++) {
    x[c] = columns[c]->blocks;
    total[c] = zero();
  }
  const int blocks = tiles.blocks, shift = tiles.group_shift, ahead = prefetch_distance(C, blocks);
  const uint8_t *const scales = tile + kDotScalesAt, *const zeros = tile + tiles.zeros_at;
  const uint8_t *place = tile + tiles.blocks_at;
  for (int block = 0; block < blocks; block++, place += 64 * Bits) {
    const int group = block >> shift;
    const f32x16 scale = to_f32(load_i8(scales + kDotRows * group));
    prefetch_ahead<64 * Bits>(place, ahead);
    DotSum sums[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) {
      const i32x16 minus_sum = broadcast_i32(x[c][block].minus_sum);
      if constexpr (Symmetric)
        sums[c] = dot_start(shift_left<Bits - 1>(minus_sum));
      else
        sums[c] = dot_start(multiply_i32(load_u8(zeros + kDotRows * group), minus_sum));
    }
    dot_block<Bits, C>(place, x, block, sums);
#pragma GCC unroll 8
    for (int c = 0; c < C; c++)
      total[c] = fma(to_f32(dot_total(sums[c])), multiply(scale, broadcast(x[c][block].scale)), total[c]);
  }
  for (int c = 0; c < C; c++) y[c] = scaled(total[c], columns[c]->factor, tile);
}

/// Adds A g to y: A is symmetric with 8 bits and row scales alone.
template <int C> inline void add_correction(int k, const uint8_t *a, const DotColumn *const *g, f32x16 (&y)[C]) {
  f32x16 total[C];
  for (int c = 0; c < C; c++) total[c] = zero();
  const uint8_t *place = a + 64;
  for (int block = 0, left = k / 4; left > 0; block++, left -= 8, place += 64 * 8) {
    DotSum sums[C];
    for (int c = 0; c < C; c++) sums[c] = dot_start(shift_left<7>(broadcast_i32(g[c]->blocks[block].minus_sum)));
    const int registers = left < 8 ? left : 8;
    for (int j = 0; j < registers; j++) {
      const i32x16 q = load_i32(place + 64 * j);
#pragma GCC unroll 8
      for (int c = 0; c < C; c++) dot(sums[c], q, g[c]->blocks[block].quads[j]);
    }
    for (int c = 0; c < C; c++)
      total[c] = fma(to_f32(dot_total(sums[c])), broadcast(g[c]->blocks[block].scale), total[c]);
  }
  for (int c = 0; c < C; c++) y[c] = add(y[c], scaled(total[c], g[c]->factor, a));
}

/// The columns from `first` on, in register blocks of C columns and then of fewer; the tile stays in a near cache.
template <int Bits, bool Symmetric, int C>
inline void multiply_tile(const DotTiles &tiles, const uint8_t *tile, const DotInput &input, int first, int row,
                          DotResult &result) {
  for (; first + C <= input.count; first += C) {
    f32x16 y[C];
    dot_tile<Bits, Symmetric, C>(tiles, tile, input.x + first, y);
    if (tiles.k > 0) add_correction<C>(tiles.k, tile + tiles.a_at, input.g + first, y);
    for (int c = 0; c < C; c++) store(result.y[first + c] + row, y[c]);
  }
  if constexpr (C > 1) multiply_tile<Bits, Symmetric, C / 2>(tiles, tile, input, first, row, result);
}

template <int Bits, bool Symmetric>
void DotCore<Bits, Symmetric>::multiply(const DotTiles &tiles, const DotInput &input, DotResult &result) {
  for (int i = 0; i < tiles.tiles; i++)
    multiply_tile<Bits, Symmetric, kDotColumns>(tiles, tiles.place + i * tiles.bytes, input, 0, i * kDotRows, result);
}

}  // namespace gsic

#endif
