// One source, three dialects: AMD (hip.h), NVIDIA (cuda.h), and this machine (host.h), which simulates a workgroup.
//
// Each of them defines, in namespace gsic:
//   kWave                        lanes of a wave (warp)
//   kMatrixCores                 whether `matrix_dot` exists
//   thread_index()               lane in the workgroup
//   workgroup_index(), workgroup_count()
//   barrier()                    all lanes of the workgroup meet; LDS written before is visible after
//   hold()                       keeps the compiler from moving instructions across
//   together(scalars ...)        parameters and the like are there from here on
//   is_there(value)              what was loaded is there from here on
//   issued()                     loads that stand before it are asked for before what follows
//   held(word)                   a constant that stays in a register of each lane
//   and_or(word, mask, more)     word & mask | more
//   choose_bytes(high, low, places)   of the eight bytes of two words those that four bytes, 0 to 7, name
//   uniform(value)               a number that is the same in all lanes of a wave, known to be
//   shuffle_xor<Mask>(value)     the value of lane ^ Mask of the wave; every lane takes part
//   load(p), load_once(p)        global memory, kept in caches or not; 1, 2, 4, 8 or 16 bytes
//   load_fresh(p)                what the host writes between two replays of a graph; 4 or 8 bytes
//   store(p, value)              global memory
//   f16_to_f32(bits), f32_to_f16(value), of at most 65504
//   matrix_dot(a, b, c)          sixteen 4x4x4 products of bf16 at once, see hip.h
//   fma(a, b, c)                 rounded once; of two floats each as well
// and the macros
//   GSIC_KERNEL(symbol, threads, (parameters)) { body }
//   GSIC_SHARED(type, name)      memory of the workgroup (LDS); not initialised
//   GSIC_UNROLL                  before a loop whose arrays must stay in registers
//   GSIC_KEEP_LOOP               before a loop that must not be unrolled: its loads would take all registers
#ifndef GSIC_DIALECT_GPU_H
#define GSIC_DIALECT_GPU_H

#include <stdint.h>

namespace gsic {

/// Sixteen bytes: what a lane loads at once.
struct alignas(16) u32x4 {
  uint32_t v[4];
};
struct alignas(16) f32x4 {
  float v[4];
};
struct alignas(8) u32x2 {
  uint32_t v[2];
};
struct alignas(8) f32x2 {
  float v[2];
};

}  // namespace gsic

#if defined(__HIP__)
#include "gsic/dialect/hip.h"
#elif defined(__CUDA__)
#include "gsic/dialect/cuda.h"
#else
#include "gsic/dialect/host.h"
#endif

namespace gsic {

template <class To, class From> inline To bits_as(const From &from) {
  static_assert(sizeof(To) == sizeof(From), "the same bits");
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

template <int Mask> inline double shuffle_xor(double value) {
  u32x2 halves = bits_as<u32x2>(value);
  for (int i = 0; i < 2; i++) halves.v[i] = bits_as<uint32_t>(shuffle_xor<Mask>(bits_as<float>(halves.v[i])));
  return bits_as<double>(halves);
}

/// The sum over the wave's lanes that differ in the bits from `First` on; halves are added until one is left.
template <int First = 1, class T> inline T wave_sum(T value) {
  if constexpr (First < kWave) {
    value += shuffle_xor<First>(value);
    return wave_sum<2 * First>(value);
  } else {
    return value;
  }
}

template <int First = 1> inline float wave_maximum(float value) {
  if constexpr (First < kWave) {
    const float other = shuffle_xor<First>(value);
    return wave_maximum<2 * First>(other > value ? other : value);
  } else {
    return value;
  }
}

inline int lane_index() { return thread_index() % kWave; }
inline int wave_index() { return uniform(thread_index() / kWave); }

}  // namespace gsic

#endif
