#include "parallel.h"

#include <atomic>
#include <exception>
#include <mutex>

#include "gsic/abi.h"

namespace gsic {
namespace {

struct Queue {
  size_t count;
  const std::function<void(size_t)> *work;
  std::atomic<size_t> next{0};
};

/// A kernel as any other: (queue).
void drain(const gsic_worker *, void *const *arguments) {
  Queue &queue = *static_cast<Queue *>(arguments[0]);
  for (size_t i = queue.next++; i < queue.count; i = queue.next++) (*queue.work)(i);
}

}  // namespace

HostWorkers::HostWorkers(const Model &model)
    : own_(model.target().device == DeviceKind::cpu ? nullptr : open_cpu(0, 0, Sharing::all)),
      device_(own_ != nullptr ? *own_ : model.device()) {}

void HostWorkers::each(size_t count, const std::function<void(size_t)> &work) {
  Queue queue{count, &work};
  void *arguments[] = {&queue};
  device_.capture({{reinterpret_cast<void *>(&drain), arguments, 1}})->run(1);
}

void each(ThreadPool &pool, size_t count, const std::function<void(size_t)> &work) {
  std::atomic<size_t> next{0};
  std::exception_ptr failure;
  std::mutex lock;
  pool.run([&](uint32_t) {
    try {
      for (size_t i = next++; i < count; i = next++) work(i);
    } catch (...) {
      next = count;
      const std::lock_guard<std::mutex> guard(lock);
      if (failure == nullptr) failure = std::current_exception();
    }
  });
  if (failure != nullptr) std::rethrow_exception(failure);
}

}  // namespace gsic
