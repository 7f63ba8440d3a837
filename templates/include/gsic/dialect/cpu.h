// The CPU dialect: sixteen lanes of f32 and of i32, as one (avx512.h), two (avx2.h) or sixteen machine registers
// (portable.h).
//
// Every target has the same sixteen lanes and reduces them in the same order, so kernels add in the same order on
// all of them. AVX-512 and AVX2 give the same bits; the portable form rounds products once more where the machine
// has no fused multiply-add.
//
// Each of them defines, in namespace gsic:
//   f32x16, i32x16                  sixteen lanes
//   f32_part                        one register of an f32x16, which has kParts, of kPartLanes lanes
//   kTileColumns, kBlockColumns     columns that a tile of floats, or a step of a block type, multiplies at once
//   kWrittenColumns                 columns whose products with a tile are machine code, add_written; 0: there are none
//   kPlainColumns                   the same once a step is unpacked; 0 where to unpack it first gains nothing
//   zero(), broadcast(a), load(p), store(p, a)
//   add, multiply, maximum, fma     lane by lane; fma(float, float, float) as well
//   load_f16, load_u8, load_i8, load_e4m3, load_i32, load_f16_scalar, store_i32, store_f16
//   look_up(table, index)           of sixteen numbers those that the lower four bits of each lane name
//   part_of, set_part, load_part, load_f16_part, load_bf16_parts, fma(f32_part, f32_part, f32_part)
//   ByteTable, load_table, load_coded                               see coded.h
//   broadcast_i32, lane_index, add_i32, multiply_i32, bit_and, bit_or, or_masked, shift_left, shift_right
//   to_f32, round_to_i32, as_f32    numbers, and bits
//   reduce(a)                       the sum of the lanes: halves are added until one is left
//   reduce_four(v, sums), reduce_each(v)   of several vectors, in the same order
//   reduce_maximum(a)
//   prefetch(p)
//   kDotColumns, Quad, DotSum, store_quads, dot_start, dot, dot_total   see dot.h
#ifndef GSIC_DIALECT_CPU_H
#define GSIC_DIALECT_CPU_H

#if defined(__AVX512F__)
#include "gsic/dialect/avx512.h"
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "gsic/dialect/avx2.h"
#else
#include "gsic/dialect/portable.h"
#endif

#endif
