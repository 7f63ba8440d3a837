// Products of block types with 1 to 16 columns: the core of BlockMatrix.
#ifndef GSIC_CORES_BLOCKS_H
#define GSIC_CORES_BLOCKS_H

#include "gsic/blocks.h"

namespace gsic {

/// Prefetches Bytes that lie `ahead` of a place.
template <int Bytes> inline void prefetch_ahead(const uint8_t *place, int ahead) {
  for (int line = 0; line < Bytes; line += 64) prefetch(place + ahead + line);
}

/// 2^-e x in two factors, since 2^-e may be no f32.
template <class W> inline void set_block(BlockActivations<W> &block, const float *from, f32x16 first, f32x16 second) {
  f32x16 scaled[2];
  for (int half = 0; half < 2; half++) {
    float positions[kLanes];
    for (int i = 0; i < kLanes; i++) positions[i] = W::elements::position_scale(kLanes * half + i);
    scaled[half] = multiply(multiply(load(from + kLanes * half), first), second);
    store(block.x + kLanes * half, multiply(scaled[half], load(positions)));
  }
  if constexpr (W::scales::groups == 1)
    block.sums[0] = reduce(add(scaled[0], scaled[1]));
  else
    for (int half = 0; half < 2; half++) block.sums[half] = reduce(scaled[half]);
}

template <class W, int Blocks, bool Long>
void BlockCore<W, Blocks, Long>::set(const float *from, int blocks, BlockColumn<W> &column) {
  uint32_t largest = 0;
  for (int block = 0; block < blocks; block++) {
    const uint32_t bits = largest_bits(from + kBlock * block);
    largest = largest > bits ? largest : bits;
  }
  const bool finite = largest < 0x7f800000;
  const int exponent = finite ? block_exponent(largest) - 127 : 0, half = exponent / 2;
  column.factor[0] = power_of_two(half);
  column.factor[1] = finite ? power_of_two(exponent - half) : __builtin_nanf("");
  const f32x16 first = broadcast(finite ? power_of_two(-half) : 0.0f);
  const f32x16 second = broadcast(power_of_two(half - exponent));
  for (int block = 0; block < blocks; block++) set_block(column.blocks[block], from + kBlock * block, first, second);
}

/// Adds the products of a step with C columns to `total`; `super` are the superblock's scales.
template <class W, bool Long, int C>
inline void add_step(const uint8_t *super, const uint8_t *step, int block, const BlockActivations<W> *const *x,
                     f32x16 (&total)[C]) {
  using scales = typename W::scales;
  constexpr int groups = scales::groups;
  if constexpr (Long) prefetch_ahead<scales::bytes + kBlockRows * kBlock * W::bits / 8>(step, kLongPrefetch);
  f32x16 half[2][C];
  each_element<typename W::elements>(step + scales::bytes, [&](auto j, f32x16 q) {
    constexpr int at = decltype(j)::value;
    f32x16(&sum)[C] = half[at / kLanes];
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) {
      const f32x16 value = broadcast(x[c][block].x[at]);
      sum[c] = at % kLanes == 0 ? multiply(q, value) : fma(q, value, sum[c]);
    }
  });
  f32x16 scale[groups], minimum[groups];
  scales::load(super, step, scale, minimum);
#pragma GCC unroll 8
  for (int c = 0; c < C; c++) {
    if constexpr (groups == 1) half[0][c] = add(half[0][c], half[1][c]);
#pragma GCC unroll 2
    for (int group = 0; group < groups; group++) {
      total[c] = fma(scale[group], half[group][c], total[c]);
      if constexpr (scales::has_minimum) total[c] = fma(minimum[group], broadcast(x[c][block].sums[group]), total[c]);
    }
  }
}

/// One tile of so many blocks and `columns` columns, at most C.
template <class W, bool Long, int C>
inline void multiply_tile(const uint8_t *tile, int blocks, const BlockColumn<W> *columns, int count, float *y) {
  if constexpr (C > 1) {
    if (count < C) return multiply_tile<W, Long, C - 1>(tile, blocks, columns, count, y);
  }
  using scales = typename W::scales;
  constexpr int step_bytes = scales::bytes + kBlockRows * kBlock * W::bits / 8;
  constexpr int super_bytes = scales::header + scales::steps * step_bytes;
  const BlockActivations<W> *x[C];
  f32x16 total[C];
  for (int c = 0; c < C; c++) {
    x[c] = columns[c].blocks;
    total[c] = zero();
  }
  int block = 0;
  for (const uint8_t *super = tile; block < blocks; super += super_bytes)
    for (int step = 0; step < scales::steps; step++, block++)
      add_step<W, Long, C>(super, super + scales::header + step * step_bytes, block, x, total);
  for (int c = 0; c < C; c++)
    store(y + c * kRunRows,
          multiply(multiply(total[c], broadcast(columns[c].factor[0])), broadcast(columns[c].factor[1])));
}

template <class W, int Blocks, bool Long>
void BlockCore<W, Blocks, Long>::multiply(const BlockTiles &tiles, const BlockColumn<W> *x, int columns, float *y) {
  using scales = typename W::scales;
  const int supers = tiles.blocks / scales::steps;
  const int64_t bytes = int64_t(supers) * (scales::header + scales::steps * (scales::bytes + kBlockRows * W::bits * 4));
  for (int i = 0; i < tiles.tiles; i++)
    for (int first = 0; first < columns; first += kColumnBlock) {
      const int count = columns - first < kColumnBlock ? columns - first : kColumnBlock;
      multiply_tile<W, Long, kColumnBlock>(tiles.place + i * bytes, Blocks > 0 ? Blocks : tiles.blocks, x + first,
                                           count, y + first * kRunRows + i * kBlockRows);
    }
}

}  // namespace gsic

#endif
