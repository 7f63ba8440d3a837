// The CPU as a device: memory is the host's, a code object is a shared library, a launch is a function call on
// every worker of a thread pool.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>

#include "clock.h"
#include "code_image.h"
#include "device.h"
#include "error.h"
#include "gsic/abi.h"
#include "thread_policy.h"
#include "thread_pool.h"

namespace gsic {
namespace {

class HostMemory final : public DeviceMemory {
 public:
  HostMemory(size_t bytes, const std::string &what) : pages_(bytes, what), data_(pages_.data()) {}
  explicit HostMemory(Bytes bytes) : data_(const_cast<uint8_t *>(bytes.data)) {}
  uint8_t *address(uint64_t offset) const override { return data_ + offset; }
  void populate(uint64_t offset, uint64_t bytes) override { pages_.populate(offset, bytes); }

 private:
  Pages pages_;
  uint8_t *data_;
};

/// Groups of columns of a pass over a prompt: the values of one take little memory, and twice as many gained nothing.
constexpr size_t kGroups = 4;

using FindKernel = gsic_cpu_kernel (*)(const char *name);

/// The kernels of a target, in one image.
class Library final : public Module {
 public:
  Library(Bytes code, const std::string &name, const std::vector<Kernel> &kernels) : image_(code, name) {
    const std::string problem = why_not_on_this_cpu(image_.features());
    if (!problem.empty()) throw Error(GSIC_NO_DEVICE, problem + ", which the code of section '" + name + "' uses");
    // An image of kernels for all shapes (templates/generic/library.cpp) has a table of names instead of symbols.
    const auto find = reinterpret_cast<FindKernel>(image_.function("gsic_find_kernel"));
    for (const Kernel &kernel : kernels)
      kernels_.push_back(find == nullptr ? image_.function(kernel.symbol)
                                         : reinterpret_cast<void *>(find(kernel.symbol.c_str())));
  }

  void *kernel(size_t index) const override { return kernels_[index]; }

 private:
  CodeImage image_;
  std::vector<void *> kernels_;
};

/// What launches compute, as far as it matters for how long they take: which kernels, and of how many columns. What
/// columns cost beside the pass that they are in differs; near numbers of them are one kind, whatever it is.
Task task_of(uint64_t kernels, uint32_t columns) {
  constexpr double kPass = 6;  // in columns
  uint32_t octave = 0;
  while (1u << octave < columns) octave++;
  return {kernels * 31 + octave, kPass + columns};
}

uint64_t hash_of(const std::vector<ResolvedLaunch> &launches) {
  uint64_t hash = 14695981039346656037u;
  for (const ResolvedLaunch &launch : launches)
    hash = (hash ^ reinterpret_cast<uintptr_t>(launch.kernel)) * 1099511628211u;
  return hash;
}

/// Groups of columns that launches compute, and how far apart their arguments lie.
struct Groups {
  size_t count = 1, pitch = 0;
};

/// The workers, and the lock that lets one sequence run at a time.
class Workers {
 public:
  Workers(uint32_t threads, size_t scratch_floats, Sharing sharing)
      : pool_(threads == 0 ? usable_cpus() : threads),
        policy_(pool_.size()),
        measured_(sharing == Sharing::measured && pool_.size() > 1),
        stride_((scratch_floats + 15) / 16 * 16) {
    scratch_ = Pages(stride_ * pool_.size() * sizeof(float), "the workers' scratch memory");
    float *base = reinterpret_cast<float *>(scratch_.data());
    for (uint32_t i = 0; i < pool_.size(); i++) workers_.push_back({i, pool_.size(), base + i * stride_, stride_});
  }

  uint32_t count() const { return pool_.size(); }
  uint64_t trials() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return policy_.trials();
  }

  /// What launches read from here on may vanish: `lost` says so.
  void watch(const std::atomic<bool> *lost) { lost_ = lost; }

  /// Runs launches over groups of columns, as GroupSequence. Throws GSIC_INVALID_ARGUMENT in a process that was forked,
  /// and GSIC_IO where weights vanished.
  void run(const std::vector<ResolvedLaunch> &launches, const Task &task, Groups groups = {}) {
    pool_.home().require();
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto share = [&](uint32_t worker) { run(worker, launches, groups); };
    if (measured_) {
      const double now = seconds_now();
      if (now >= ask_) ask(now);
      const uint32_t count = pool_.run(share, policy_.begin(task, now));
      policy_.end(seconds_now(), pool_.use(), count);
    } else {
      pool_.run(share);
    }
    if (lost_ != nullptr && lost_->load(std::memory_order_acquire))
      throw Error(GSIC_IO, "the model's file was cut while it was in use", "put it back, and open it again");
  }

 private:
  /// Launches between two looks at the clock, and seconds between two at what workers had of CPUs.
  static constexpr size_t kLook = 8;
  static constexpr double kAsk = 0.01;

  /// A worker's share: a part of it is what a worker of so many times as many workers has.
  static void run_groups(const ResolvedLaunch &launch, const gsic_worker &worker, Groups groups) {
    gsic_worker part = worker;
    part.count = worker.count * launch.parts;
    for (uint32_t i = 0; i < launch.parts; i++) {
      part.index = worker.index * launch.parts + i;
      for (size_t group = 0; group < groups.count; group++)
        reinterpret_cast<gsic_cpu_kernel>(launch.kernel)(&part, launch.arguments + group * groups.pitch);
    }
  }
  void run(uint32_t index, const std::vector<ResolvedLaunch> &launches, Groups groups) {
    gsic_worker worker = workers_[index];
    worker.count = pool_.active();
    for (size_t i = 0; i < launches.size(); i++) {
      if (groups.count == 1)
        reinterpret_cast<gsic_cpu_kernel>(launches[i].kernel)(&worker, launches[i].arguments);
      else
        run_groups(launches[i], worker, groups);
      if (i + 1 == launches.size()) break;
      if (measured_ && index == 0 && i % kLook == kLook - 1) look(double(i + 1) / double(launches.size()));
      worker.count = pool_.barrier(index);
      if (index >= worker.count) return;
    }
  }
  void ask(double now) {
    pool_.ask();
    ask_ = now + kAsk;
  }
  /// By worker 0, in front of a barrier.
  void look(double done) {
    const double now = seconds_now();
    if (now >= ask_) ask(now);
    const uint32_t count = policy_.look(now, pool_.use(), done);
    if (count < pool_.active()) pool_.leave(count);
  }

  std::mutex mutex_;
  ThreadPool pool_;
  ThreadPolicy policy_;
  bool measured_;
  double ask_ = 0;
  size_t stride_;
  Pages scratch_;
  std::vector<gsic_worker> workers_;
  const std::atomic<bool> *lost_ = nullptr;
};

class CallSequence final : public Sequence {
 public:
  CallSequence(std::shared_ptr<Workers> workers, const std::vector<ResolvedLaunch> &launches)
      : workers_(std::move(workers)), launches_(launches), kernels_(hash_of(launches)) {}
  void run(uint32_t columns) override { workers_->run(launches_, task_of(kernels_, columns)); }

 private:
  std::shared_ptr<Workers> workers_;
  std::vector<ResolvedLaunch> launches_;
  uint64_t kernels_;
};

class GroupCallSequence final : public GroupSequence {
 public:
  GroupCallSequence(std::shared_ptr<Workers> workers, const std::vector<ResolvedLaunch> &launches, size_t pitch)
      : workers_(std::move(workers)), launches_(launches), pitch_(pitch), kernels_(hash_of(launches)) {}
  void run(size_t groups, uint32_t columns) override {
    workers_->run(launches_, task_of(kernels_, columns), {groups, pitch_});
  }

 private:
  std::shared_ptr<Workers> workers_;
  std::vector<ResolvedLaunch> launches_;
  size_t pitch_;
  uint64_t kernels_;
};

class CpuDevice final : public Device {
 public:
  CpuDevice(uint32_t threads, size_t scratch_floats, Sharing sharing)
      : workers_(std::make_shared<Workers>(threads, scratch_floats, sharing)) {}

  uint32_t threads() const override { return workers_->count(); }
  uint64_t thread_trials() const override { return workers_->trials(); }
  // Pages are taken when they are first touched: what is free now says little.
  void require_memory(uint64_t, const std::string &) override {}
  bool takes_memory_late() const override { return true; }
  std::unique_ptr<DeviceMemory> allocate(size_t bytes, const std::string &what) override {
    return std::make_unique<HostMemory>(bytes, what);
  }
  std::unique_ptr<DeviceMemory> share(Bytes bytes, const std::string &) override {
    workers_->watch(MappingGuard::at(bytes.data));
    return std::make_unique<HostMemory>(bytes);
  }
  std::unique_ptr<DeviceMemory> staging(size_t bytes, const std::string &what) override {
    return allocate(bytes, what);
  }
  void write(uint8_t *target, const void *source, size_t bytes) override { std::memcpy(target, source, bytes); }
  const void *read(const uint8_t *source, void *, size_t) override { return source; }
  std::unique_ptr<Module> load(const Target &target, Bytes section, const std::vector<Kernel> &kernels) override {
    return std::make_unique<Library>(section, target.section, kernels);
  }
  std::unique_ptr<Sequence> capture(const std::vector<ResolvedLaunch> &launches) override {
    return std::make_unique<CallSequence>(workers_, launches);
  }
  size_t groups() const override { return kGroups; }
  std::unique_ptr<GroupSequence> capture_groups(const std::vector<ResolvedLaunch> &launches, size_t pitch) override {
    return std::make_unique<GroupCallSequence>(workers_, launches, pitch);
  }
  void *stream() const override { return nullptr; }
  void run(const std::vector<ResolvedLaunch> &launches, uint32_t columns, void *) override {
    workers_->run(launches, task_of(hash_of(launches), columns));
  }
  void copy_rows(Rows<uint8_t> target, Rows<const uint8_t> source, size_t rows, void *) override {
    const size_t shared = std::min(target.bytes, source.bytes);
    for (size_t row = 0; row < rows; row++) {
      std::memcpy(target.data + row * target.bytes, source.data + row * source.bytes, shared);
      std::memset(target.data + row * target.bytes + shared, 0, target.bytes - shared);
    }
  }

 private:
  std::shared_ptr<Workers> workers_;
};

}  // namespace

std::unique_ptr<Device> open_cpu(uint32_t threads, size_t scratch_floats, Sharing sharing) {
  return std::make_unique<CpuDevice>(threads, scratch_floats, sharing);
}

}  // namespace gsic
