// The workers that share every launch: the calling thread and a fixed set of threads beside it.
#ifndef GSIC_SRC_THREAD_POOL_H
#define GSIC_SRC_THREAD_POOL_H

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "home_process.h"

namespace gsic {

/// CPUs that this process may use: its affinity mask, and the quota of its cgroup.
uint32_t usable_cpus();

/// How a waiter waits: it spins until `spin` is over, offers its CPU to others until `yield` is over, then sleeps.
/// Both count from the beginning.
struct Patience {
  std::chrono::nanoseconds spin = std::chrono::microseconds(10);
  std::chrono::nanoseconds yield = std::chrono::milliseconds(1);
};

/// A counter to wait on.
class Signal {
 public:
  uint32_t value() const { return value_.load(std::memory_order_acquire); }
  /// Adds one, and wakes everybody who waits.
  void advance();
  /// Returns when the counter is no longer `seen`.
  void wait(uint32_t seen, Patience patience);

 private:
  std::atomic<uint32_t> value_{0};
  std::atomic<uint32_t> sleepers_{0};
};

/// Runs one task at a time on all workers. Not to be used by two threads at once.
class ThreadPool {
 public:
  /// `workers` includes the thread that calls `run`. Throws std::system_error if threads cannot be made.
  explicit ThreadPool(uint32_t workers);
  ~ThreadPool();

  uint32_t size() const { return workers_; }
  /// Whose threads these are: no other process can use the pool.
  const HomeProcess &home() const { return home_; }
  /// Calls `task(worker)` for workers 0 to size() - 1, 0 on this thread; returns when all have returned.
  /// The task must not throw.
  void run(const std::function<void(uint32_t)> &task);
  /// Inside a task: returns when every worker has arrived. Writes before it are visible after it.
  void barrier();

 private:
  void work(uint32_t worker);
  void stop();

  HomeProcess home_;
  uint32_t workers_;
  Patience patience_;
  alignas(64) std::atomic<uint32_t> arrived_{0};
  alignas(64) Signal phase_;
  alignas(64) Signal job_;
  const std::function<void(uint32_t)> *task_ = nullptr;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace gsic

#endif
