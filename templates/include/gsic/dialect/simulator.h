// What a lane of the host dialect (host.h) asks of the simulation that runs it. It is a core (core.h): kernels that are
// compiled for tests share one object of it, which is optimised though they are not.
#ifndef GSIC_DIALECT_SIMULATOR_H
#define GSIC_DIALECT_SIMULATOR_H

#include <stddef.h>
#include <stdint.h>

#include <utility>

#include "gsic/core.h"
#include "gsic/simulation.h"

namespace gsic {

/// Runs a kernel's body in one lane; made by `lane_call` from the kernel's function.
struct LaneCall {
  void (*invoke)(void (*kernel)(), void *const *arguments);
  void (*kernel)();
};

template <class... Pointers, size_t... Index>
inline void call_with(void (*kernel)(Pointers...), void *const *arguments, std::index_sequence<Index...>) {
  kernel(*static_cast<Pointers *>(arguments[Index])...);
}
template <class... Pointers> inline LaneCall lane_call(void (*kernel)(Pointers...)) {
  const auto invoke = [](void (*erased)(), void *const *arguments) {
    call_with(reinterpret_cast<void (*)(Pointers...)>(erased), arguments, std::index_sequence_for<Pointers...>());
  };
  return {invoke, reinterpret_cast<void (*)()>(kernel)};
}

/// The launch that runs now: one at a time.
template <int Wave> struct GSIC_CORE Simulator {
  /// Runs all workgroups of a launch; `lane` runs the kernel's body in one lane.
  static int launch(const gsic_simulation &simulation, int threads, LaneCall lane, void *const *arguments);

  static int thread();      ///< of the lane that runs, in its workgroup
  static int workgroup();   ///< its number
  static int workgroups();  ///< how many there are
  /// All lanes of the workgroup meet.
  static void barrier();
  /// The value of lane ^ `mask` of the wave.
  static float shuffle(float value, int mask);
  /// Adds to `c` the products of two pairs of bf16 each of four lanes of the wave with this lane's: as `matrix_dot`.
  static void multiply(const uint32_t (&a)[2], const uint32_t (&b)[2], float (&c)[4]);

  /// The place of a GSIC_SHARED in LDS.
  static void *shared(const void *site, size_t bytes, size_t alignment);
  /// Counts a load of global memory; where to find what it loads, or null if that is out of bounds.
  static const void *load(const void *p, size_t bytes, bool kept);
  /// The same of a load that finds what is at `p`, and of no stale cache.
  static bool loads(const void *p, size_t bytes);
  /// Counts a store; false if it is out of bounds.
  static bool stores(const void *p, size_t bytes);
};

}  // namespace gsic

#if !defined(GSIC_CORES_APART)
#include "gsic/cores/simulator.h"
#endif

#endif
