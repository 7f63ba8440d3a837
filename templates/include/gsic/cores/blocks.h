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

/// Adds the sums of a step's halves to `total`, each group's times its scale, and its minimum.
template <class W>
inline void add_groups(const f32x16 (&half)[2], const f32x16 (&scale)[W::scales::groups],
                       const f32x16 (&minimum)[W::scales::groups], const float (&sums)[W::scales::groups],
                       f32x16 &total) {
  constexpr int groups = W::scales::groups;
  const f32x16 both[2] = {groups == 1 ? add(half[0], half[1]) : half[0], half[1]};
#pragma GCC unroll 2
  for (int group = 0; group < groups; group++) {
    total = fma(scale[group], both[group], total);
    if constexpr (W::scales::has_minimum) total = fma(minimum[group], broadcast(sums[group]), total);
  }
}

/// Adds the products of a step with C columns to `total`; `super` are the superblock's scales.
template <class W, int C>
inline void add_step(const uint8_t *super, const uint8_t *step, int block, const BlockActivations<W> *const *x,
                     f32x16 *total) {
  f32x16 half[C][2];
  each_element<typename W::elements>(step + W::scales::bytes, [&](auto j, f32x16 q) {
    constexpr int at = decltype(j)::value;
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) {
      f32x16 &sum = half[c][at / kLanes];
      const f32x16 value = broadcast(x[c][block].x[at]);
      sum = at % kLanes == 0 ? multiply(q, value) : fma(q, value, sum);
    }
  });
  f32x16 scale[W::scales::groups], minimum[W::scales::groups];
  W::scales::load(super, step, scale, minimum);
#pragma GCC unroll 8
  for (int c = 0; c < C; c++) add_groups<W>(half[c], scale, minimum, x[c][block].sums, total[c]);
}

/// A step's elements as numbers, and its scales: for several columns it is unpacked once, into the first-level cache.
template <class W> struct PlainStep {
  f32x16 q[kBlock], scale[W::scales::groups], minimum[W::scales::groups];

  PlainStep(const uint8_t *super, const uint8_t *step) {
    each_element<typename W::elements>(step + W::scales::bytes,
                                       [&](auto j, f32x16 element) { q[decltype(j)::value] = element; });
    W::scales::load(super, step, scale, minimum);
  }
};

/// The same as `add_step`, with `count` columns, at most C.
template <class W, int C>
inline void add_plain(const PlainStep<W> &step, const BlockColumn<W> *columns, int count, int block, f32x16 *total) {
  if constexpr (C > 1) {
    if (count < C) return add_plain<W, C - 1>(step, columns, count, block, total);
  }
  const BlockActivations<W> *x[C];
  f32x16 half[C][2];
#pragma GCC unroll 8
  for (int c = 0; c < C; c++) x[c] = columns[c].blocks + block;
#pragma GCC unroll 2
  for (int i = 0; i < 2; i++) {
    const int first = kLanes * i;
    f32x16 sum[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) sum[c] = multiply(step.q[first], broadcast(x[c]->x[first]));
#pragma GCC unroll 5
    for (int at = first + 1; at < first + kLanes; at++)
#pragma GCC unroll 8
      for (int c = 0; c < C; c++) sum[c] = fma(step.q[at], broadcast(x[c]->x[at]), sum[c]);
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) half[c][i] = sum[c];
  }
#pragma GCC unroll 8
  for (int c = 0; c < C; c++) add_groups<W>(half[c], step.scale, step.minimum, x[c]->sums, total[c]);
}

/// Calls `each(block, super, step)` for a tile's steps.
template <class W, bool Long, class Each> inline void for_each_step(const uint8_t *super, int blocks, Each each) {
  constexpr int steps = W::scales::steps, bytes = block_step_bytes<W>();
  for (int block = 0; block < blocks; super += block_super_bytes<W>())
    for (int i = 0; i < steps; i++, block++) {
      const uint8_t *const step = super + W::scales::header + i * bytes;
      if constexpr (Long) prefetch_ahead<bytes>(step, kLongPrefetch);
      each(block, super, step);
    }
}

/// The sums of a tile's blocks with `count` columns, at most C, to `total`.
template <class W, bool Long, int C>
inline void add_tile(const uint8_t *tile, int blocks, const BlockColumn<W> *columns, int count, f32x16 *total) {
  if constexpr (C > 1) {
    if (count < C) return add_tile<W, Long, C - 1>(tile, blocks, columns, count, total);
  }
  const BlockActivations<W> *x[C];
  f32x16 sum[C];
  for (int c = 0; c < C; c++) {
    x[c] = columns[c].blocks;
    sum[c] = zero();
  }
  for_each_step<W, Long>(tile, blocks, [&](int block, const uint8_t *super, const uint8_t *step) {
    add_step<W, C>(super, step, block, x, sum);
  });
  for (int c = 0; c < C; c++) total[c] = sum[c];
}

/// The same with any number of columns, for which steps are unpacked once.
template <class W, bool Long>
inline void add_plain_tile(const uint8_t *tile, int blocks, const BlockColumn<W> *columns, int count, f32x16 *total) {
  for (int c = 0; c < count; c++) total[c] = zero();
  for_each_step<W, Long>(tile, blocks, [&](int block, const uint8_t *super, const uint8_t *step) {
    const PlainStep<W> plain(super, step);
    for (int first = 0, some; first < count; first += some) {
      some = count - first < kPlainColumns ? count - first : kPlainColumns;
      add_plain<W, kPlainColumns>(plain, columns + first, some, block, total + first);
    }
  });
}

/// One tile of so many blocks and all columns.
template <class W, bool Long>
inline void multiply_tile(const uint8_t *tile, int blocks, const BlockColumn<W> *columns, int count, float *y) {
  f32x16 total[GSIC_MAX_COLUMNS];
  bool done = false;
  if constexpr (kPlainColumns > 0)
    if (count > kBlockColumns) {
      add_plain_tile<W, Long>(tile, blocks, columns, count, total);
      done = true;
    }
  for (int first = 0, some; first < count && !done; first += some) {
    some = even_part(count - first, kBlockColumns);
    add_tile<W, Long, kBlockColumns>(tile, blocks, columns + first, some, total + first);
  }
  for (int c = 0; c < count; c++)
    store(y + c * kRunRows,
          multiply(multiply(total[c], broadcast(columns[c].factor[0])), broadcast(columns[c].factor[1])));
}

template <class W, int Blocks, bool Long>
void BlockCore<W, Blocks, Long>::multiply(const BlockTiles &tiles, const BlockColumn<W> *x, int columns, float *y) {
  const int64_t bytes = block_tile_bytes<W>(tiles.blocks);
  for (int i = 0; i < tiles.tiles; i++)
    multiply_tile<W, Long>(tiles.place + i * bytes, Blocks > 0 ? Blocks : tiles.blocks, x, columns, y + i * kBlockRows);
}

}  // namespace gsic

#endif
