// The workers that share every launch: the calling thread and a fixed set of threads beside it.
#ifndef GSIC_SRC_THREAD_POOL_H
#define GSIC_SRC_THREAD_POOL_H

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "home_process.h"
#include "sharing.h"

namespace gsic {

/// CPUs that this process may use: its affinity mask, and the quota of its cgroup.
uint32_t usable_cpus();
/// Moves the calling thread to another CPU than these, where it may use one; which one it is on then.
int leave_cpus(const std::vector<int> &taken);

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

/// Runs one task at a time on all workers, or on the first ones of them. Not to be used by two threads at once.
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
  void run(const std::function<void(uint32_t)> &task) { run(task, {workers_, false}); }
  /// The same with fewer: those of the share who are not at the task that they left. The result: how many.
  uint32_t run(const std::function<void(uint32_t)> &task, Share share);
  /// Inside a task: returns when every worker that takes part has arrived, with how many go on. One whose number is not
  /// below that returns from the task at once, and touches nothing of it. Writes before it are visible after it.
  uint32_t barrier(uint32_t worker);
  /// Inside a task, by worker 0: from the next barrier on no more than so many take part, at least one.
  void leave(uint32_t count) { fewer_.store(count, std::memory_order_relaxed); }
  /// Workers that take part: inside a task, up to its next barrier.
  uint32_t active() const { return active_.load(std::memory_order_relaxed); }

  /// By worker 0, or between tasks: at its next barrier each worker notes what it had of CPUs.
  void ask() { asked_.store(asked_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
  /// Of all workers, as they noted it the last time; of the calling thread, since it was first asked.
  CpuUse use() const;

 private:
  /// A worker.
  struct alignas(64) Seat {
    Signal job;                     ///< tasks that it was called for; none of worker 0
    std::atomic<uint32_t> done{0};  ///< of them: it has left these
    bool left = false;              ///< the last one before its end, as worker 0 knows
    uint32_t answered = 0;          ///< what was asked when it noted the last time
    std::atomic<uint64_t> switches{0}, nanoseconds{0};
    std::atomic<int> cpu{-1};  ///< it was on when its last task began
  };

  void work(uint32_t worker);
  /// Sees to it that a worker has another CPU than those with lower numbers. A system may leave two on one CPU for tens
  /// of milliseconds beside one that nobody uses, and two who wait for each other take twice as long there.
  void take_cpu(uint32_t worker);
  void stop();
  /// How those wait who take part now.
  Patience patience() const;
  /// How many of the first workers can take part: all before one that is still at a task that it left.
  uint32_t ready(uint32_t count);
  void answer(uint32_t worker, uint32_t asked);
  /// Notes which thread is worker 0 now.
  void take_place();

  HomeProcess home_;
  uint32_t workers_;
  Patience patience_;
  const std::function<void(uint32_t)> *task_ = nullptr;
  bool stopping_ = false;
  std::thread::id caller_;   ///< worker 0 of the task before
  CpuUse caller_used_ = {};  ///< what that thread had when it noted the last time
  std::vector<std::thread> threads_;
  std::unique_ptr<Seat[]> seats_;
  alignas(64) std::atomic<uint32_t> arrived_{0};
  alignas(64) Signal phase_;
  alignas(64) std::atomic<uint32_t> active_;
  std::atomic<uint32_t> fewer_{0};  ///< take part from the next barrier on; 0: all who do
  std::atomic<uint32_t> asked_{0};
  std::atomic<bool> sleeps_{false};
};

}  // namespace gsic

#endif
