// What a CPU's workers do where other programs use its cores, too.
#ifndef GSIC_SRC_SHARING_H
#define GSIC_SRC_SHARING_H

#include <cstdint>

namespace gsic {

enum class Sharing {
  all,      ///< each takes part in every launch
  measured  ///< as many as are measured to be fastest (`ThreadPolicy`)
};

/// Who takes part in a task.
struct Share {
  uint32_t count;  ///< workers, at least one
  bool sleeps;     ///< those who wait for others sleep at once, in place of asking again and again
};

inline bool operator==(const Share &a, const Share &b) { return a.count == b.count && a.sleeps == b.sleeps; }

/// What a task is. Those of one kind take as many workers as long, in proportion to their amounts.
struct Task {
  uint64_t kind;
  double amount;
};

/// What workers had of CPUs since they began.
struct CpuUse {
  uint64_t switches;  ///< how often a CPU was taken away from one that could go on: involuntary context switches
  double seconds;     ///< for which one had a CPU, of all of them
};

}  // namespace gsic

#endif
