// Work of the tools on the workers of a device.
#ifndef GSIC_TOOLS_PARALLEL_H
#define GSIC_TOOLS_PARALLEL_H

#include <cstddef>
#include <functional>

#include "device.h"

namespace gsic {

/// Calls `work(i)` for i from 0 to count - 1, each once, on all workers of a device whose memory is the host's.
/// `work` must not throw.
void parallel_for(Device &device, size_t count, const std::function<void(size_t)> &work);

}  // namespace gsic

#endif
