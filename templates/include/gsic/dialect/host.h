// The host dialect: a GPU's workgroup, simulated. Every lane is a fiber; a lane runs until it needs the others (a
// barrier, a shuffle, a matrix product) and then hands over to the next. LDS begins as NaN, global memory is checked
// for its bounds and counted. Workgroups run one after another: of the races between them, those show that depend on
// whether the first or the last comes first (GSIC_SIMULATION_BACKWARD).
#ifndef GSIC_DIALECT_HOST_H
#define GSIC_DIALECT_HOST_H

#include <string.h>

#include "gsic/dialect/fibers.h"
#include "gsic/dialect/half.h"
#include "gsic/dialect/memory.h"

#ifndef GSIC_WAVE
#define GSIC_WAVE 64
#endif

#define GSIC_UNROLL
#define GSIC_KEEP_LOOP
#define GSIC_SHARED(Type, name) \
  static char name##_site;      \
  Type &name = *static_cast<Type *>(gsic::simulated.shared(&name##_site, sizeof(Type), alignof(Type)))

#define GSIC_KERNEL(symbol, threads, parameters)                                                    \
  static void symbol##_lane parameters;                                                             \
  extern "C" int symbol(const gsic_simulation *simulation, void *const *arguments) {                \
    return gsic::simulated.launch(*simulation, threads, gsic::lane_call(symbol##_lane), arguments); \
  }                                                                                                 \
  static void symbol##_lane parameters

namespace gsic {

constexpr int kWave = GSIC_WAVE;
constexpr bool kMatrixCores = GSIC_WAVE == 64;

/// What the lanes of a launch share. One launch runs at a time.
class Simulated {
 public:
  /// Runs all workgroups of a launch; `lane` runs the kernel's body in one lane.
  int launch(const gsic_simulation &simulation, int threads, LaneCall lane, void *const *arguments) {
    if (simulation.threads != uint32_t(threads) || threads % kWave != 0)
      return fail(simulation, "launched with another number of threads than it was compiled for");
    simulation_ = &simulation;
    memory_.begin(simulation, arguments);
    for (int i = 0; i < int(simulation.workgroups) && memory_.fault() == nullptr; i++) {
      index = fibers.backward() ? int(simulation.workgroups) - 1 - i : i;
      lds_.begin(simulation.lds);
      fibers.run(threads, kWave, lane, arguments);
      if (fibers.stuck()) return fail(simulation, "a barrier or shuffle that not all lanes reach");
      if (lds_.overflowed()) return fail(simulation, "takes more LDS than the manifest says");
    }
    return memory_.fault() == nullptr ? 0 : fail(simulation, memory_.fault());
  }

  void *shared(const void *site, size_t bytes, size_t alignment) { return lds_.place(site, bytes, alignment); }
  /// Counts an access; false if it is out of bounds.
  bool loads(const void *p, size_t bytes, bool kept) { return memory_.loads(p, bytes, kept); }
  bool stores(const void *p, size_t bytes) { return memory_.stores(p, bytes); }
  /// Where a load of what was counted last finds it.
  const void *cached(const void *p) const { return memory_.cached(p); }

  int count() const { return int(simulation_->workgroups); }
  int index = 0;
  Fibers fibers;

 private:
  static int fail(const gsic_simulation &simulation, const char *what) {
    if (simulation.message != nullptr && simulation.message_bytes > 0) {
      strncpy(simulation.message, what, simulation.message_bytes - 1);
      simulation.message[simulation.message_bytes - 1] = 0;
    }
    return 1;
  }

  const gsic_simulation *simulation_ = nullptr;
  SimulatedMemory memory_;
  SimulatedLds lds_;
};

inline Simulated simulated;

inline int thread_index() { return simulated.fibers.current(); }
inline int workgroup_index() { return simulated.index; }
inline int workgroup_count() { return simulated.count(); }
inline uint32_t held(uint32_t word) { return word; }
inline uint32_t and_or(uint32_t word, uint32_t mask, uint32_t more) { return (word & mask) | more; }
inline int uniform(int value) { return value; }
inline void hold() {}
inline void barrier() { simulated.fibers.barrier(); }

template <int Mask> inline float shuffle_xor(float value) {
  float *lanes = static_cast<float *>(simulated.fibers.exchange(&value, sizeof value));
  return lanes[(thread_index() % kWave) ^ Mask];
}

template <bool Kept, class T> inline T simulated_load(const T *p) {
  if (!simulated.loads(p, sizeof(T), Kept)) return T{};
  T value;
  memcpy(&value, simulated.cached(p), sizeof value);
  return value;
}
template <class T> inline T load_fresh(const T *p) { return simulated.loads(p, sizeof *p, true) ? *p : T{}; }
template <class T> inline T load(const T *p) { return simulated_load<true>(p); }
template <class T> inline T load_once(const T *p) { return simulated_load<false>(p); }
template <class T> inline void store(T *p, T value) {
  if (simulated.stores(p, sizeof(T))) memcpy(p, &value, sizeof value);
}

inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

/// As in hip.h; each element of D is a chain of four fused multiply-adds.
inline f32x4 matrix_dot(u32x2 a, u32x2 b, f32x4 c) {
  const u32x2 *rows = static_cast<const u32x2 *>(simulated.fibers.exchange(&a, sizeof a));
  rows += thread_index() % kWave / 4 * 4;
  for (int i = 0; i < 4; i++)
    for (int k = 0; k < 4; k++) c.v[i] = fma(bf16_at(rows[i].v, k), bf16_at(b.v, k), c.v[i]);
  return c;
}

}  // namespace gsic

#endif
