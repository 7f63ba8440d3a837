#include "read_ceiling.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "arguments.h"
#include "gsic/abi.h"

namespace gsic {
namespace {

typedef uint64_t Wide __attribute__((vector_size(64)));
constexpr size_t kUnroll = 8;

struct ReadTask {
  const Wide *data;
  size_t count;  ///< a multiple of kUnroll
  std::atomic<uint64_t> sum{0};
};

/// Whether kernels that need these features run here.
bool has(const std::vector<std::string> &features) { return why_not_on_this_cpu(features).empty(); }

/// The sum of `count` values, so that they are really read.
inline __attribute__((always_inline)) uint64_t read_all(const Wide *data, size_t count) {
  Wide sums[kUnroll] = {};
  for (size_t i = 0; i < count; i += kUnroll)
    for (size_t j = 0; j < kUnroll; j++) sums[j] += data[i + j];
  uint64_t total = 0;
  for (const Wide &sum : sums)
    for (size_t lane = 0; lane < 8; lane++) total += sum[lane];
  return total;
}

inline __attribute__((always_inline)) void read_share(const gsic_worker *worker, void *const *arguments) {
  ReadTask &task = *static_cast<ReadTask *>(arguments[0]);
  const size_t groups = task.count / kUnroll;
  const size_t begin = groups * worker->index / worker->count, end = groups * (worker->index + 1) / worker->count;
  task.sum += read_all(task.data + begin * kUnroll, (end - begin) * kUnroll);
}

/// Kernels as any other: (task). Each is compiled for what it is named after.
void read_kernel(const gsic_worker *worker, void *const *arguments) { read_share(worker, arguments); }
#if defined(__x86_64__)
__attribute__((target("avx512f"))) void read_kernel_512(const gsic_worker *worker, void *const *arguments) {
  read_share(worker, arguments);
}
__attribute__((target("avx2"))) void read_kernel_256(const gsic_worker *worker, void *const *arguments) {
  read_share(worker, arguments);
}
#endif

/// The widest that runs here.
gsic_cpu_kernel best_read_kernel() {
#if defined(__x86_64__)
  if (has({"avx512f"})) return &read_kernel_512;
  if (has({"avx2"})) return &read_kernel_256;
#endif
  return &read_kernel;
}

void empty_kernel(const gsic_worker *, void *const *) {}

double read_bandwidth(const Pages &pages, Device &device) {
  ReadTask task{reinterpret_cast<const Wide *>(pages.data()), pages.size() / sizeof(Wide)};
  void *arguments[] = {&task};
  const auto reading = device.capture({{reinterpret_cast<void *>(best_read_kernel()), arguments, 1}});
  const double start = now();
  reading->run(1);
  return double(pages.size()) / (now() - start);
}

double launch_seconds(Device &device) {
  constexpr size_t kLaunches = 20000;
  const ResolvedLaunch launch{reinterpret_cast<void *>(&empty_kernel), nullptr, 0};
  device.capture(std::vector<ResolvedLaunch>(1000, launch))->run(1);
  const auto launches = device.capture(std::vector<ResolvedLaunch>(kLaunches, launch));
  const double start = now();
  launches->run(1);
  return (now() - start) / kLaunches;
}

/// Multiply-adds of a worker's share, each of as many independent sums as hide their latency.
constexpr size_t kSums = 12, kRounds = 2'000'000;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) float multiply_add_512(float factor) {
  const __m512 a = _mm512_set1_ps(factor);
  __m512 sums[kSums];
#pragma GCC unroll 12
  for (size_t j = 0; j < kSums; j++) sums[j] = _mm512_set1_ps(float(j));
  for (size_t i = 0; i < kRounds; i++)
#pragma GCC unroll 12
    for (size_t j = 0; j < kSums; j++) sums[j] = _mm512_fmadd_ps(sums[j], a, a);
#pragma GCC unroll 12
  for (size_t j = 1; j < kSums; j++) sums[0] = _mm512_add_ps(sums[0], sums[j]);
  return _mm512_cvtss_f32(sums[0]);
}

__attribute__((target("avx2,fma"))) float multiply_add_256(float factor) {
  const __m256 a = _mm256_set1_ps(factor);
  __m256 sums[kSums];
#pragma GCC unroll 12
  for (size_t j = 0; j < kSums; j++) sums[j] = _mm256_set1_ps(float(j));
  for (size_t i = 0; i < kRounds; i++)
#pragma GCC unroll 12
    for (size_t j = 0; j < kSums; j++) sums[j] = _mm256_fmadd_ps(sums[j], a, a);
#pragma GCC unroll 12
  for (size_t j = 1; j < kSums; j++) sums[0] = _mm256_add_ps(sums[0], sums[j]);
  return _mm256_cvtss_f32(sums[0]);
}

/// (factor, results of the workers): the sums go towards 1, so none becomes denormal.
void multiply_kernel_512(const gsic_worker *worker, void *const *arguments) {
  static_cast<float *>(arguments[1])[worker->index] = multiply_add_512(*static_cast<float *>(arguments[0]));
}
void multiply_kernel_256(const gsic_worker *worker, void *const *arguments) {
  static_cast<float *>(arguments[1])[worker->index] = multiply_add_256(*static_cast<float *>(arguments[0]));
}
#endif

/// f32 multiply-adds per second of all workers; none on other machines.
std::optional<double> multiply_add_rate(Device &device) {
#if defined(__x86_64__)
  const bool wide = has({"avx512f"});
  if (!wide && !has({"avx2", "fma"})) return std::nullopt;
  float factor = 0.5f;
  std::vector<float> results(device.threads());
  void *arguments[] = {&factor, results.data()};
  const auto kernel = wide ? &multiply_kernel_512 : &multiply_kernel_256;
  const auto multiplying = device.capture({{reinterpret_cast<void *>(kernel), arguments, 2}});
  const double start = now();
  multiplying->run(1);
  return double(kSums * kRounds * (wide ? 16 : 8)) * device.threads() / (now() - start);
#else
  (void)device;
  return std::nullopt;
#endif
}

size_t buffer_bytes(const Manifest &manifest) {
  constexpr size_t kLeast = size_t(512) << 20, kMost = size_t(1) << 30;
  return std::clamp<size_t>(manifest.buffer(Buffer::weights), kLeast, kMost) / 4096 * 4096;
}

}  // namespace

CpuCeiling::CpuCeiling(const Manifest &manifest) : pages_(buffer_bytes(manifest), "the buffer of the read ceiling") {
  std::memset(pages_.data(), 1, pages_.size());
}

void CpuCeiling::flush(Device &device) const { read_bandwidth(pages_, device); }

void CpuCeiling::sample(Device &device) {
  bandwidth_.add(read_bandwidth(pages_, device));
  launch_.add(launch_seconds(device));
  if (const auto rate = multiply_add_rate(device)) multiply_adds_.add(*rate);
}

void CpuCeiling::describe(nlohmann::ordered_json &document) const {
  document["read_ceiling_bytes"] = pages_.size();
  document["read_ceiling_short"] = false;
  document["read_ceiling_bytes_per_second"] = bandwidth_.json();
  document["seconds_per_empty_launch"] = launch_.json();
  document["seconds_per_sequence"] = nullptr;
  document["multiply_adds_per_second"] = multiply_adds_.json();
}

std::optional<double> huge_page_share(const std::string &path) {
  const std::unique_ptr<char, decltype(&std::free)> absolute(realpath(path.c_str(), nullptr), &std::free);
  if (!absolute) return std::nullopt;
  const std::string name = absolute.get();
  std::ifstream file("/proc/self/smaps");
  double resident = 0, huge = 0;
  bool found = false;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key;
    double kilobytes = 0;
    words >> key;
    // The head of a mapping ends with its path; what is said of it are lines of a name, a colon and a size.
    if (key.empty() || key.back() != ':')
      found = line.size() >= name.size() && line.compare(line.size() - name.size(), name.size(), name) == 0;
    else if (found && words >> kilobytes)
      (key == "Rss:" ? resident : key == "FilePmdMapped:" ? huge : kilobytes) += kilobytes;
  }
  if (resident == 0) return std::nullopt;
  return huge / resident;
}

}  // namespace gsic
