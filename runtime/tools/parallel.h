// Work of the tools on the workers of this machine's CPU.
#ifndef GSIC_TOOLS_PARALLEL_H
#define GSIC_TOOLS_PARALLEL_H

#include <cstddef>
#include <functional>

#include "model.h"
#include "thread_pool.h"

namespace gsic {

/// The CPU's workers: the model's own where it runs there, new ones beside a GPU.
class HostWorkers {
 public:
  explicit HostWorkers(const Model &model);
  /// Calls `work(i)` for i from 0 to count - 1, each once, on all workers. `work` must not throw.
  void each(size_t count, const std::function<void(size_t)> &work);

 private:
  std::unique_ptr<Device> own_;
  Device &device_;
};

/// Calls `work(i)` for i from 0 to count - 1, each once, on all workers of a pool. Throws what `work` threw first.
void each(ThreadPool &pool, size_t count, const std::function<void(size_t)> &work);

}  // namespace gsic

#endif
