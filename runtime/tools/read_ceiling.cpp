#include "read_ceiling.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "arguments.h"
#include "gsic/abi.h"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define GSIC_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define GSIC_CLONES
#endif

namespace gsic {
namespace {

typedef uint64_t Wide __attribute__((vector_size(64)));
constexpr size_t kUnroll = 8;

struct ReadTask {
  const Wide *data;
  size_t count;  ///< a multiple of kUnroll
  std::atomic<uint64_t> sum{0};
};

/// The sum of `count` values, so that they are really read.
GSIC_CLONES uint64_t read_all(const Wide *data, size_t count) {
  Wide sums[kUnroll] = {};
  for (size_t i = 0; i < count; i += kUnroll)
    for (size_t j = 0; j < kUnroll; j++) sums[j] += data[i + j];
  uint64_t total = 0;
  for (const Wide &sum : sums)
    for (size_t lane = 0; lane < 8; lane++) total += sum[lane];
  return total;
}

/// A kernel as any other: (task).
void read_kernel(const gsic_worker *worker, void *const *arguments) {
  ReadTask &task = *static_cast<ReadTask *>(arguments[0]);
  const size_t groups = task.count / kUnroll;
  const size_t begin = groups * worker->index / worker->count, end = groups * (worker->index + 1) / worker->count;
  task.sum += read_all(task.data + begin * kUnroll, (end - begin) * kUnroll);
}

void empty_kernel(const gsic_worker *, void *const *) {}

double read_bandwidth(const Pages &pages, Device &device) {
  ReadTask task{reinterpret_cast<const Wide *>(pages.data()), pages.size() / sizeof(Wide)};
  void *arguments[] = {&task};
  const auto reading = device.capture({{reinterpret_cast<void *>(&read_kernel), arguments, 1}});
  const double start = now();
  reading->run();
  return double(pages.size()) / (now() - start);
}

double launch_seconds(Device &device) {
  constexpr size_t kLaunches = 20000;
  const ResolvedLaunch launch{reinterpret_cast<void *>(&empty_kernel), nullptr, 0};
  device.capture(std::vector<ResolvedLaunch>(1000, launch))->run();
  const auto launches = device.capture(std::vector<ResolvedLaunch>(kLaunches, launch));
  const double start = now();
  launches->run();
  return (now() - start) / kLaunches;
}

size_t buffer_bytes(const Manifest &manifest) {
  constexpr size_t kLeast = size_t(512) << 20, kMost = size_t(1) << 30;
  return std::clamp<size_t>(manifest.buffer(Buffer::weights), kLeast, kMost) / 4096 * 4096;
}

}  // namespace

CpuCeiling::CpuCeiling(const Manifest &manifest) : pages_(buffer_bytes(manifest), "the buffer of the read ceiling") {
  std::memset(pages_.data(), 1, pages_.size());
}

void CpuCeiling::sample(Device &device) {
  bandwidth_.add(read_bandwidth(pages_, device));
  launch_.add(launch_seconds(device));
}

void CpuCeiling::describe(nlohmann::ordered_json &document) const {
  document["read_ceiling_bytes"] = pages_.size();
  document["read_ceiling_short"] = false;
  document["read_ceiling_bytes_per_second"] = bandwidth_.json();
  document["seconds_per_empty_launch"] = launch_.json();
  document["seconds_per_sequence"] = nullptr;
}

}  // namespace gsic
