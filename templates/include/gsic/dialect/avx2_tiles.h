// A tile times three columns for AVX2, as machine code: twelve sums, three columns and a weight take all sixteen
// registers, and compilers, who have other plans for some, keep sums in memory.
#ifndef GSIC_DIALECT_AVX2_TILES_H
#define GSIC_DIALECT_AVX2_TILES_H

#include "gsic/dialect/avx2.h"

namespace gsic {

struct f32;
struct bf16;
struct f16;

// Of the sums, a to c are columns, 0 to 3 rows; ymm12 to ymm14 are the columns' numbers, ymm15 a row's weights.

// clang-format off
#define GSIC_COLUMNS(AT)                     \
  "vmovups " AT "(%[x0],%[at]), %%ymm12\n\t" \
  "vmovups " AT "(%[x1],%[at]), %%ymm13\n\t" \
  "vmovups " AT "(%[x2],%[at]), %%ymm14\n\t"
#define GSIC_ROW(WEIGHTS, ROW)                    \
  WEIGHTS                                         \
  "vfmadd231ps %%ymm12, %%ymm15, %[a" ROW "]\n\t" \
  "vfmadd231ps %%ymm13, %%ymm15, %[b" ROW "]\n\t" \
  "vfmadd231ps %%ymm14, %%ymm15, %[c" ROW "]\n\t"
/// Sixteen elements of four rows, which begin BYTES apart.
#define GSIC_HALF(AT, LOAD, BYTES)  \
  GSIC_COLUMNS(AT)                  \
  GSIC_ROW(LOAD("0*" BYTES), "0")   \
  GSIC_ROW(LOAD("1*" BYTES), "1")   \
  GSIC_ROW(LOAD("2*" BYTES), "2")   \
  GSIC_ROW(LOAD("3*" BYTES), "3")
#define GSIC_LOAD_SUMS(COLUMN, AT)                          \
  "vmovups 32*" AT "+0(%[sum]), %[" COLUMN "0]\n\t"         \
  "vmovups 32*" AT "+32(%[sum]), %[" COLUMN "1]\n\t"        \
  "vmovups 32*" AT "+64(%[sum]), %[" COLUMN "2]\n\t"        \
  "vmovups 32*" AT "+96(%[sum]), %[" COLUMN "3]\n\t"
/// A loop over blocks; FIRST and SECOND load weights of a block's halves, rows begin BYTES apart.
#define GSIC_ADD_BLOCKS(PREFETCH, FIRST, SECOND, BYTES)                                                         \
  __asm__ volatile(GSIC_LOAD_SUMS("a", "0") GSIC_LOAD_SUMS("b", "4") GSIC_LOAD_SUMS("c", "8")                   \
                   "1:\n\t" PREFETCH GSIC_HALF("0", FIRST, BYTES) GSIC_HALF("64", SECOND, BYTES)                \
                   "add $128, %[at]\n\tadd $4*" BYTES ", %[w]\n\tcmp %[end], %[w]\n\tjb 1b\n\t"                 \
                   : [w] "+&r"(place), [at] "+&r"(at),                                                          \
                     [a0] "=&x"(own[0]), [a1] "=&x"(own[1]), [a2] "=&x"(own[2]), [a3] "=&x"(own[3]),            \
                     [b0] "=&x"(own[4]), [b1] "=&x"(own[5]), [b2] "=&x"(own[6]), [b3] "=&x"(own[7]),            \
                     [c0] "=&x"(own[8]), [c1] "=&x"(own[9]), [c2] "=&x"(own[10]), [c3] "=&x"(own[11])           \
                   : [sum] "r"(sum), [end] "r"(end), [x0] "r"(x[0]), [x1] "r"(x[1]), [x2] "r"(x[2]),            \
                     [mask] "m"(kUpperHalf)                                                                     \
                   : "ymm12", "ymm13", "ymm14", "ymm15", "cc", "memory")
/// Four lines, kTilePrefetch + AT ahead.
#define GSIC_AHEAD(AT)                        \
  "prefetcht0 2048+" AT "(%[w])\n\t"          \
  "prefetcht0 2048+64+" AT "(%[w])\n\t"       \
  "prefetcht0 2048+128+" AT "(%[w])\n\t"      \
  "prefetcht0 2048+192+" AT "(%[w])\n\t"
/// Adds the products of a tile's blocks with three columns, from their element `offset`, to `sum`, [column][row]. Of
/// every vector it is the register `part`; the first one fetches what comes next.
#define GSIC_ADD_WRITTEN(TYPE, PART, AHEAD, FIRST, SECOND, BYTES)                                            \
  inline void add_written(const TYPE *, const uint8_t *place, int blocks, const float *const *x, int offset, \
                          int part, f32_part (&sum)[12]) {                                                   \
    int64_t at = 4 * int64_t(offset);                                                                        \
    const uint8_t *const end = place + int64_t(blocks) * 4 * BYTES;                                          \
    place += PART * part;                                                                                    \
    __m256 own[12];                                                                                          \
    if (part == 0)                                                                                           \
      GSIC_ADD_BLOCKS(AHEAD, FIRST, SECOND, #BYTES);                                                         \
    else                                                                                                     \
      GSIC_ADD_BLOCKS("", FIRST, SECOND, #BYTES);                                                            \
    for (int i = 0; i < 12; i++) sum[i].v = own[i];                                                          \
  }
// clang-format on

constexpr uint32_t kUpperHalf = 0xffff0000;

#define GSIC_BF16_LOWER(AT) "vmovdqu " AT "(%[w]), %%ymm15\n\tvpslld $16, %%ymm15, %%ymm15\n\t"
#define GSIC_BF16_UPPER(AT) "vpbroadcastd %[mask], %%ymm15\n\tvpand " AT "(%[w]), %%ymm15, %%ymm15\n\t"
#define GSIC_F16_FIRST(AT) "vcvtph2ps " AT "(%[w]), %%ymm15\n\t"
#define GSIC_F16_SECOND(AT) "vcvtph2ps 32+" AT "(%[w]), %%ymm15\n\t"
#define GSIC_F32_FIRST(AT) "vmovups " AT "(%[w]), %%ymm15\n\t"
#define GSIC_F32_SECOND(AT) "vmovups 64+" AT "(%[w]), %%ymm15\n\t"

GSIC_ADD_WRITTEN(bf16, 32, GSIC_AHEAD("0"), GSIC_BF16_LOWER, GSIC_BF16_UPPER, 64)
GSIC_ADD_WRITTEN(f16, 16, GSIC_AHEAD("0"), GSIC_F16_FIRST, GSIC_F16_SECOND, 64)
GSIC_ADD_WRITTEN(f32, 32, GSIC_AHEAD("0") GSIC_AHEAD("256"), GSIC_F32_FIRST, GSIC_F32_SECOND, 128)

#undef GSIC_F32_SECOND
#undef GSIC_F32_FIRST
#undef GSIC_F16_SECOND
#undef GSIC_F16_FIRST
#undef GSIC_BF16_UPPER
#undef GSIC_BF16_LOWER
#undef GSIC_ADD_WRITTEN
#undef GSIC_AHEAD
#undef GSIC_ADD_BLOCKS
#undef GSIC_LOAD_SUMS
#undef GSIC_HALF
#undef GSIC_ROW
#undef GSIC_COLUMNS

}  // namespace gsic

#endif
