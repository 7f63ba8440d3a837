// The host dialect: a GPU's workgroup, simulated. Every lane is a fiber; a lane runs until it needs the others (a
// barrier, a shuffle, a matrix product) and then hands over to the next. LDS begins as NaN, global memory is checked
// for its bounds and counted. Workgroups run one after another: of the races between them, those show that depend on
// whether the first or the last comes first (GSIC_SIMULATION_BACKWARD).
#ifndef GSIC_DIALECT_HOST_H
#define GSIC_DIALECT_HOST_H

#include <string.h>

#include "gsic/dialect/half.h"
#include "gsic/dialect/simulator.h"

#ifndef GSIC_WAVE
#define GSIC_WAVE 64
#endif

#define GSIC_UNROLL
#define GSIC_KEEP_LOOP
#define GSIC_SHARED(Type, name) \
  static char name##_site;      \
  Type &name = *static_cast<Type *>(gsic::Host::shared(&name##_site, sizeof(Type), alignof(Type)))

#define GSIC_KERNEL(symbol, threads, parameters)                                                  \
  static void symbol##_lane parameters;                                                           \
  extern "C" __attribute__((visibility("default"))) int symbol(const gsic_simulation *simulation, \
                                                               void *const *arguments) {          \
    return gsic::Host::launch(*simulation, threads, gsic::lane_call(symbol##_lane), arguments);   \
  }                                                                                               \
  static void symbol##_lane parameters

namespace gsic {

constexpr int kWave = GSIC_WAVE;
constexpr bool kMatrixCores = GSIC_WAVE == 64;

using Host = Simulator<kWave>;

inline int thread_index() { return Host::thread(); }
inline int workgroup_index() { return Host::workgroup(); }
inline int workgroup_count() { return Host::workgroups(); }
inline uint32_t held(uint32_t word) { return word; }
inline uint32_t and_or(uint32_t word, uint32_t mask, uint32_t more) { return (word & mask) | more; }
inline uint32_t choose_bytes(uint32_t high, uint32_t low, uint32_t places) {
  const uint64_t from = uint64_t(high) << 32 | low;
  uint32_t bytes = 0;
  for (int i = 0; i < 32; i += 8) bytes |= uint32_t(from >> 8 * (places >> i & 7u) & 255u) << i;
  return bytes;
}
inline int uniform(int value) { return value; }
inline int64_t uniform(int64_t value) { return value; }
inline void hold() {}
template <class... T> inline void together(T...) {}
inline void is_there(float &) {}
inline void issued() {}
inline void barrier() { Host::barrier(); }

template <int Mask> inline float shuffle_xor(float value) { return Host::shuffle(value, Mask); }

template <bool Kept, class T> inline T simulated_load(const T *p) {
  const void *found = Host::load(p, sizeof(T), Kept);
  if (found == nullptr) return T{};
  T value;
  memcpy(&value, found, sizeof value);
  return value;
}
template <class T> inline T load_fresh(const T *p) { return Host::loads(p, sizeof *p) ? *p : T{}; }
template <class T> inline T load(const T *p) { return simulated_load<true>(p); }
template <class T> inline T load_once(const T *p) { return simulated_load<false>(p); }
template <class T> inline void store(T *p, T value) {
  if (Host::stores(p, sizeof(T))) memcpy(p, &value, sizeof value);
}

__attribute__((always_inline)) inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
__attribute__((always_inline)) inline f32x2 fma(f32x2 a, f32x2 b, f32x2 c) {
  return {{fma(a.v[0], b.v[0], c.v[0]), fma(a.v[1], b.v[1], c.v[1])}};
}

/// As in hip.h; each element of D is a chain of four fused multiply-adds.
inline f32x4 matrix_dot(u32x2 a, u32x2 b, f32x4 c) {
  Host::multiply(a.v, b.v, c.v);
  return c;
}

}  // namespace gsic

#endif
