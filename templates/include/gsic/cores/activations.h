// How a column of activations becomes integers: the core of activations.h.
#ifndef GSIC_CORES_ACTIVATIONS_H
#define GSIC_CORES_ACTIVATIONS_H

#include "gsic/activations.h"

namespace gsic {

inline void set_block(DotBlock &block, const float *x, int exponent) {
  const int half = (141 - exponent) / 2;
  const f32x16 first = broadcast(power_of_two(half)), second = broadcast(power_of_two(141 - exponent - half));
  i32x16 n[2];
  for (int i = 0; i < 2; i++) n[i] = round_to_i32(multiply(multiply(load(x + kLanes * i), first), second));
  int32_t integers[kLanes], sum = 0;
  const i32x16 both = add_i32(n[0], n[1]);
  memcpy(integers, &both, sizeof integers);
  for (int i = 0; i < kLanes; i++) sum += integers[i];
  for (int i = 0; i < 2; i++) store_quads(block.quads + 4 * i, n[i]);
  block.minus_sum = -sum;
}

inline void clear_block(DotBlock &block) {
  for (int i = 0; i < 2; i++) store_quads(block.quads + 4 * i, broadcast_i32(0));
  block.minus_sum = 0;
}

template <int Block> void ActivationCore<Block>::set(const float *x, int blocks, DotColumn &column) {
  int largest = -64;
  bool finite = true;
  for (int i = 0; i < blocks; i++) {
    const uint32_t bits = largest_bits(x + i * Block);
    finite &= bits < 0x7f800000;
    const int exponent = block_exponent(bits);
    column.blocks[i].minus_sum = exponent;  // until the block is set
    largest = largest > exponent ? largest : exponent;
  }
  for (int i = 0; i < blocks; i++) {
    DotBlock &block = column.blocks[i];
    const int exponent = block.minus_sum;
    block.scale = largest - exponent > 126 ? 0.0f : power_of_two(exponent - largest);
    if (finite)
      set_block(block, x + i * Block, exponent);
    else
      clear_block(block);
  }
  const int half = (largest - 141) / 2;
  column.factor[0] = power_of_two(half);
  column.factor[1] = finite ? power_of_two(largest - 141 - half) : __builtin_nanf("");
}

}  // namespace gsic

#endif
