// The simulation of a GPU's workgroups: the core of dialect/simulator.h.
#ifndef GSIC_CORES_SIMULATOR_H
#define GSIC_CORES_SIMULATOR_H

#include <string.h>

#include "gsic/dialect/fibers.h"
#include "gsic/dialect/half.h"
#include "gsic/dialect/memory.h"
#include "gsic/dialect/simulator.h"

namespace gsic {

/// What the lanes of a launch share. One launch runs at a time.
class GSIC_CORE Simulated {
 public:
  int launch(const gsic_simulation &simulation, int threads, int wave, LaneCall lane, void *const *arguments) {
    if (simulation.threads != uint32_t(threads) || threads % wave != 0)
      return fail(simulation, "launched with another number of threads than it was compiled for");
    workgroups = int(simulation.workgroups);
    memory.begin(simulation, arguments);
    for (int i = 0; i < workgroups && memory.fault() == nullptr; i++) {
      workgroup = fibers.backward() ? workgroups - 1 - i : i;
      lds.begin(simulation.lds);
      fibers.run(threads, wave, lane, arguments);
      if (fibers.stuck()) return fail(simulation, "a barrier or shuffle that not all lanes reach");
      if (lds.overflowed()) return fail(simulation, "takes more LDS than the manifest says");
    }
    return memory.fault() == nullptr ? 0 : fail(simulation, memory.fault());
  }

  int workgroups = 0, workgroup = 0;
  Fibers fibers;
  SimulatedMemory memory;
  SimulatedLds lds;

 private:
  static int fail(const gsic_simulation &simulation, const char *what) {
    if (simulation.message != nullptr && simulation.message_bytes > 0) {
      strncpy(simulation.message, what, simulation.message_bytes - 1);
      simulation.message[simulation.message_bytes - 1] = 0;
    }
    return 1;
  }
};

inline Simulated simulated;

template <int Wave>
int Simulator<Wave>::launch(const gsic_simulation &simulation, int threads, LaneCall lane, void *const *arguments) {
  return simulated.launch(simulation, threads, Wave, lane, arguments);
}
template <int Wave> int Simulator<Wave>::thread() { return simulated.fibers.current(); }
template <int Wave> int Simulator<Wave>::workgroup() { return simulated.workgroup; }
template <int Wave> int Simulator<Wave>::workgroups() { return simulated.workgroups; }
template <int Wave> void Simulator<Wave>::barrier() { simulated.fibers.barrier(); }
template <int Wave> float Simulator<Wave>::shuffle(float value, int mask) {
  const int lane = simulated.fibers.place();
  return simulated.fibers.exchange(value)[lane ^ mask];
}
template <int Wave> void Simulator<Wave>::multiply(const uint32_t (&a)[2], const uint32_t (&b)[2], float (&c)[4]) {
  struct Pairs {
    uint32_t v[2];
  };
  const int first = simulated.fibers.place() / 4 * 4;
  const Pairs *rows = simulated.fibers.exchange(Pairs{{a[0], a[1]}}) + first;
  for (int i = 0; i < 4; i++)
    for (int k = 0; k < 4; k++) c[i] = __builtin_fmaf(bf16_at(rows[i].v, k), bf16_at(b, k), c[i]);
}
template <int Wave> void *Simulator<Wave>::shared(const void *site, size_t bytes, size_t alignment) {
  return simulated.lds.place(site, bytes, alignment);
}
template <int Wave> const void *Simulator<Wave>::load(const void *p, size_t bytes, bool kept) {
  return simulated.memory.loads(p, bytes, kept) ? simulated.memory.cached(p) : nullptr;
}
template <int Wave> bool Simulator<Wave>::loads(const void *p, size_t bytes) {
  return simulated.memory.loads(p, bytes, true);
}
template <int Wave> bool Simulator<Wave>::stores(const void *p, size_t bytes) {
  return simulated.memory.stores(p, bytes);
}

}  // namespace gsic

#endif
