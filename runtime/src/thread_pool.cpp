#include "thread_pool.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <fstream>

namespace gsic {
namespace {

using Clock = std::chrono::steady_clock;

/// Tells the CPU that this is a spin loop.
inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

void futex(std::atomic<uint32_t> &word, int operation, uint32_t value) {
  static_assert(sizeof(word) == sizeof(uint32_t), "a futex is 32 bits");
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), operation | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0);
}

/// CPUs that the cgroup's quota allows; 0 if there is no quota.
uint32_t quota_cpus() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (!(file >> quota >> period) || period <= 0) return 0;
  return uint32_t(std::max(1.0, std::ceil(quota / period)));
}

}  // namespace

uint32_t usable_cpus() {
  cpu_set_t set;
  uint32_t count = std::thread::hardware_concurrency();
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = uint32_t(CPU_COUNT(&set));
  const uint32_t quota = quota_cpus();
  return std::max(1u, quota == 0 ? count : std::min(count, quota));
}

void Signal::advance() {
  value_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) != 0) futex(value_, FUTEX_WAKE, INT_MAX);
}

void Signal::wait(uint32_t seen, Patience patience) {
  const auto start = Clock::now();
  for (auto waited = Clock::duration::zero(); waited < patience.yield; waited = Clock::now() - start) {
    for (int i = 0; i < 64; i++) {
      if (value() != seen) return;
      pause();
    }
    if (waited >= patience.spin) sched_yield();
  }
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while (value_.load(std::memory_order_seq_cst) == seen) futex(value_, FUTEX_WAIT, seen);
  sleepers_.fetch_sub(1, std::memory_order_seq_cst);
}

ThreadPool::ThreadPool(uint32_t workers) : workers_(std::max(1u, workers)) {
  // Measured with two workers on two CPUs that other programs use too, per barrier: sleeping after 50 us costs 108 us,
  // yielding after 10 us costs 1 to 2 us. With more workers than CPUs, sleeping at once costs 35 us, yielding 70 us.
  if (workers_ > usable_cpus()) patience_ = {std::chrono::microseconds(1), std::chrono::microseconds(1)};
  try {
    for (uint32_t i = 1; i < workers_; i++) threads_.emplace_back([this, i] { work(i); });
  } catch (...) {
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  if (!home_.is_here()) {
    // There is nobody to wait for. What stands for the threads is left where it is: to let go of it would wait, too.
    new std::vector<std::thread>(std::move(threads_));
    return;
  }
  stopping_ = true;
  job_.advance();
  for (std::thread &thread : threads_) thread.join();
}

void ThreadPool::run(const std::function<void(uint32_t)> &task) {
  task_ = &task;
  job_.advance();
  task(0);
  barrier();
}

void ThreadPool::barrier() {
  if (workers_ == 1) return;
  const uint32_t phase = phase_.value();
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == workers_) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.advance();
  } else {
    phase_.wait(phase, patience_);
  }
}

void ThreadPool::work(uint32_t worker) {
  for (uint32_t seen = 0;; seen++) {
    job_.wait(seen, patience_);
    if (stopping_) return;
    (*task_)(worker);
    barrier();
  }
}

}  // namespace gsic
