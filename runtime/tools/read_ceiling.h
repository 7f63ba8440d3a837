// How fast this machine reads memory: the roof of a token's time.
#ifndef GSIC_TOOLS_READ_CEILING_H
#define GSIC_TOOLS_READ_CEILING_H

#include "device.h"

namespace gsic {

/// A buffer that the workers of a CPU read from end to end, each its own contiguous part.
class ReadCeiling {
 public:
  /// `bytes` should be far above the last-level cache. Throws GSIC_OUT_OF_MEMORY.
  explicit ReadCeiling(size_t bytes);
  /// Bytes per second of one reading of everything.
  double measure(Device &device) const;
  size_t bytes() const { return pages_.size(); }

 private:
  Pages pages_;
};

/// Seconds that a launch costs on a CPU which does nothing: a call on every worker, and the barrier.
double launch_seconds(Device &device);

}  // namespace gsic

#endif
