#include "thread_pool.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/resource.h>
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

/// Where waiters sleep: a barrier is reached a little later by some than by others in any case.
constexpr Patience kSleeping = {std::chrono::microseconds(10), std::chrono::microseconds(10)};

uint64_t nanoseconds(const timeval &time) { return uint64_t(time.tv_sec) * 1000000000 + uint64_t(time.tv_usec) * 1000; }

/// What the calling thread had since it began.
CpuUse thread_use() {
  rusage usage = {};
  getrusage(RUSAGE_THREAD, &usage);
  return {uint64_t(usage.ru_nivcsw), double(nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)) * 1e-9};
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

int leave_cpus(const std::vector<int> &taken) {
  cpu_set_t allowed, others;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return sched_getcpu();
  others = allowed;
  for (const int cpu : taken)
    if (cpu >= 0) CPU_CLR(size_t(cpu), &others);
  // Nobody is held to a CPU: the system may move all again at once.
  if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0)
    sched_setaffinity(0, sizeof allowed, &allowed);
  return sched_getcpu();
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

ThreadPool::ThreadPool(uint32_t workers)
    : workers_(std::max(1u, workers)), seats_(new Seat[workers_]), active_(workers_) {
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
  for (size_t i = 1; i <= threads_.size(); i++) seats_[i].job.advance();
  for (std::thread &thread : threads_) thread.join();
}

uint32_t ThreadPool::run(const std::function<void(uint32_t)> &task, Share share) {
  const uint32_t count = ready(share.count);
  take_place();
  active_.store(count, std::memory_order_relaxed);
  sleeps_.store(share.sleeps, std::memory_order_relaxed);
  task_ = &task;
  take_cpu(0);
  for (uint32_t i = 1; i < count; i++) seats_[i].job.advance();
  task(0);
  barrier(0);
  for (uint32_t i = active(); i < count; i++) seats_[i].left = true;
  return count;
}

Patience ThreadPool::patience() const {
  const bool sleeps = sleeps_.load(std::memory_order_relaxed);
  return sleeps && kSleeping.yield < patience_.yield ? kSleeping : patience_;
}

uint32_t ThreadPool::ready(uint32_t count) {
  for (uint32_t i = 1; i < count; i++) {
    Seat &seat = seats_[i];
    if (seat.left && seat.done.load(std::memory_order_acquire) != seat.job.value()) return i;
    seat.left = false;
  }
  return count;
}

uint32_t ThreadPool::barrier(uint32_t worker) {
  if (const uint32_t asked = asked_.load(std::memory_order_relaxed); seats_[worker].answered != asked)
    answer(worker, asked);
  const uint32_t active = this->active();
  if (active == 1) return 1;
  const uint32_t phase = phase_.value();
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == active) {
    arrived_.store(0, std::memory_order_relaxed);
    if (const uint32_t fewer = fewer_.load(std::memory_order_relaxed)) {
      fewer_.store(0, std::memory_order_relaxed);
      active_.store(fewer, std::memory_order_relaxed);
    }
    phase_.advance();
  } else {
    phase_.wait(phase, patience());
  }
  return this->active();
}

void ThreadPool::answer(uint32_t worker, uint32_t asked) {
  Seat &seat = seats_[worker];
  seat.answered = asked;
  CpuUse use = thread_use();
  if (worker == 0) {
    // Another thread may have come to have the same id, and begins anew.
    const CpuUse before = use.switches < caller_used_.switches ? use : caller_used_;
    caller_used_ = use;
    use.switches += seat.switches - before.switches;
    use.seconds = std::max(0.0, use.seconds - before.seconds) + double(seat.nanoseconds) * 1e-9;
  }
  seat.switches.store(use.switches, std::memory_order_relaxed);
  seat.nanoseconds.store(uint64_t(use.seconds * 1e9), std::memory_order_relaxed);
}

void ThreadPool::take_place() {
  if (caller_ == std::this_thread::get_id()) return;
  caller_ = std::this_thread::get_id();
  caller_used_ = thread_use();
}

CpuUse ThreadPool::use() const {
  CpuUse sum = {};
  for (uint32_t i = 0; i < workers_; i++) {
    sum.switches += seats_[i].switches.load(std::memory_order_relaxed);
    sum.seconds += double(seats_[i].nanoseconds.load(std::memory_order_relaxed)) * 1e-9;
  }
  return sum;
}

void ThreadPool::take_cpu(uint32_t worker) {
  const auto cpu_of = [&](uint32_t i) { return seats_[i].cpu.load(std::memory_order_relaxed); };
  int cpu = sched_getcpu();
  bool shared = false;
  for (uint32_t i = 0; i < worker; i++) shared |= cpu_of(i) == cpu;
  if (shared) {
    std::vector<int> taken;
    for (uint32_t i = 0; i < workers_; i++)
      if (i != worker) taken.push_back(cpu_of(i));
    taken.push_back(cpu);
    cpu = leave_cpus(taken);
  }
  if (cpu != cpu_of(worker)) seats_[worker].cpu.store(cpu, std::memory_order_relaxed);
}

void ThreadPool::work(uint32_t worker) {
  Seat &seat = seats_[worker];
  for (uint32_t seen = 0;; seen++) {
    seat.job.wait(seen, patience());
    if (stopping_) return;
    take_cpu(worker);
    (*task_)(worker);
    // Who left the task is none of those who take part, until it says here that it is free again.
    if (worker < active()) barrier(worker);
    seat.done.store(seen + 1, std::memory_order_release);
  }
}

}  // namespace gsic
