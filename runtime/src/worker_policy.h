// How passes are shared among workers where other programs use the CPUs, too. A barrier waits for every worker: one
// that is not scheduled holds up all, for a scheduler's time slice at every barrier, and then fewer workers are faster.
#ifndef GSIC_SRC_WORKER_POLICY_H
#define GSIC_SRC_WORKER_POLICY_H

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "thread_pool.h"

namespace gsic {

/// How a run is shared: by how many workers, and how these wait for each other.
struct Sharing {
  uint32_t workers;
  Patience patience;
};

/// Measures how long runs take beside the shortest of their kind. As long as all workers do well, or the kernel takes
/// no CPU away from them, nothing else is tried; then each other way is, for some runs, and the fastest taken. From
/// time to time the others are tried again, seldom where they keep being slower. What a run computes does not depend on
/// it.
class WorkerPolicy {
 public:
  explicit WorkerPolicy(uint32_t workers, Patience patience);

  /// How the next run is shared.
  const Sharing &sharing() const { return ways_[now_].sharing; }
  /// What came of it. Runs of one `kind` do the same work; `switches`: how often the kernel took a CPU from a worker.
  void learn(uint64_t kind, double seconds, uint64_t switches);

 private:
  /// A way to share, and what was measured of it of late.
  struct Way {
    Sharing sharing;
    double seconds = 0, least = 0;  ///< of its runs, and of the shortest of their kinds
    double slowness() const { return least > 0 ? seconds / least : 0; }
  };

  /// Begins a slot: some runs that are shared in one way.
  void begin(size_t way);
  void finish_slot();

  std::vector<Way> ways_;
  size_t now_ = 0, home_ = 0;                   ///< the way that runs are shared by now, and the one that is best
  std::unordered_map<uint64_t, double> least_;  ///< by kind: the shortest run's seconds, slowly forgotten
  uint64_t runs_ = 0, switches_ = 0;            ///< of the current slot
  double slot_ = 0, since_trial_, interval_;    ///< seconds of runs
  bool trying_ = false;
};

}  // namespace gsic

#endif
