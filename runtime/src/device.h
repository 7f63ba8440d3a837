// A device: where kernels run. One small set of functions; the rest of the runtime does not know which it is.
#ifndef GSIC_SRC_DEVICE_H
#define GSIC_SRC_DEVICE_H

#include <memory>
#include <string>
#include <vector>

#include "manifest.h"
#include "memory.h"
#include "sharing.h"

namespace gsic {

/// Memory of a device, zeroed when it is made; `address(0)` is aligned to 64 bytes.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  virtual uint8_t *address(uint64_t offset) const = 0;
  /// Takes memory for a range now where it would else be taken when something is first written there.
  virtual void populate(uint64_t /*offset*/, uint64_t /*bytes*/) {}
};

/// A launch whose kernel and pointers are resolved.
struct ResolvedLaunch {
  void *kernel;            ///< from `Module::kernel`
  void *const *arguments;  ///< device pointers, owned by whoever resolved them
  uint32_t argument_count;
  uint32_t workgroups = 1;  ///< of a GPU; on a CPU all workers share every launch
  uint32_t threads = 1;     ///< lanes of a workgroup
  uint32_t parts = 1;       ///< of each worker's share, which a pass over groups of columns takes one by one
};

/// A loaded target. Its kernels may be launched as long as it lives.
class Module {
 public:
  virtual ~Module() = default;
  /// The kernel of an index in Manifest::kernels; null if the code lacks it.
  virtual void *kernel(size_t index) const = 0;
};

/// Launches that run together, as often as wanted. Their kernels and arguments outlive it.
class Sequence {
 public:
  virtual ~Sequence() = default;
  /// Runs the launches in order; each sees what the one before wrote. They compute so many columns, by which a CPU
  /// compares how long they take. May return before all is done: `Device::read` waits.
  virtual void run(uint32_t columns) = 0;
};

/// Launches over groups of columns: each has its own arguments, and so its step and its values. What one launch writes
/// of the first `groups` groups, the next one sees; these have so many columns together.
class GroupSequence {
 public:
  virtual ~GroupSequence() = default;
  virtual void run(size_t groups, uint32_t columns) = 0;
};

/// Rows that lie one after another in a device's memory, `bytes` each.
template <typename Byte> struct Rows {
  Byte *data;
  size_t bytes;
};

/// Thread-safe: what several sessions ask for is serialised inside. Devices other than the CPU throw GSIC_DEVICE_LOST
/// from every function once one has failed for another reason than memory.
class Device {
 public:
  virtual ~Device() = default;
  /// A CPU: workers that share a launch. A GPU: compute units.
  virtual uint32_t threads() const = 0;
  /// How often a CPU compared numbers of workers, because other programs use its cores.
  virtual uint64_t thread_trials() const { return 0; }
  /// What the device calls itself, for people.
  virtual std::string name() const { return "CPU"; }
  /// Throws GSIC_OUT_OF_MEMORY if the device has fewer than `bytes` free now; `what` names what they are for.
  virtual void require_memory(uint64_t bytes, const std::string &what) = 0;
  /// Whether memory is taken when it is first touched, so that a large block costs nothing before.
  virtual bool takes_memory_late() const = 0;
  /// Throws GSIC_OUT_OF_MEMORY; `what` names the block.
  virtual std::unique_ptr<DeviceMemory> allocate(size_t bytes, const std::string &what) = 0;
  /// Makes host bytes readable by kernels; they outlive the result. Throws as `allocate`.
  virtual std::unique_ptr<DeviceMemory> share(Bytes bytes, const std::string &what) = 0;
  /// Host memory that `read` reaches fastest. Throws as `allocate`.
  virtual std::unique_ptr<DeviceMemory> staging(size_t bytes, const std::string &what) = 0;
  /// Host to device; what runs next sees it. `source` is free on return.
  virtual void write(uint8_t *target, const void *source, size_t bytes) = 0;
  /// Device to host, after everything so far. Where the device's memory is the host's, nothing is copied and
  /// the result is `source`; else it is `staging`, which has room for `bytes`.
  virtual const void *read(const uint8_t *source, void *staging, size_t bytes) = 0;
  /// Loads the code of all kernels; `section` is the target's. Throws GSIC_BAD_BUNDLE, or GSIC_NO_DEVICE if the code is
  /// for another machine.
  virtual std::unique_ptr<Module> load(const Target &target, Bytes section, const std::vector<Kernel> &kernels) = 0;
  virtual std::unique_ptr<Sequence> capture(const std::vector<ResolvedLaunch> &launches) = 0;
  /// Groups of columns that a pass may have; with more than one, `capture_groups` is there.
  virtual size_t groups() const { return 1; }
  /// The arguments of a group begin `pitch` pointers behind those of the one before. A worker multiplies each part of
  /// its share of a matrix with all groups, so that a cache holds the part meanwhile.
  virtual std::unique_ptr<GroupSequence> capture_groups(const std::vector<ResolvedLaunch> &, size_t /*pitch*/) {
    return nullptr;
  }

  /// The stream of everything above: a handle of the driver's; null on a CPU, where nothing is queued.
  virtual void *stream() const = 0;
  /// Runs launches of so many columns in order on a stream, this device's or another; what they point to is free on
  /// return.
  virtual void run(const std::vector<ResolvedLaunch> &launches, uint32_t columns, void *stream) = 0;
  /// Copies rows within the device's memory on a stream: as many bytes of each as both sides have, then zeros.
  virtual void copy_rows(Rows<uint8_t> target, Rows<const uint8_t> source, size_t rows, void *stream) = 0;
};

/// The value of the variable GSIC_CPU, which hides instruction sets that the CPU has: avx2 those of AVX-512, portable
/// all, avx512 none. Empty: it is not set. Throws GSIC_INVALID_ARGUMENT if it is something else.
std::string cpu_mask();

/// What this CPU has of the features that targets ask for, less what GSIC_CPU hides; names as in
/// `__builtin_cpu_supports`. Throws as `cpu_mask`.
std::vector<std::string> cpu_features();

/// Why code that needs `features` is not run here, for people; empty if it is. Names as in `__builtin_cpu_supports`; an
/// unknown name counts as lacking. Throws as `cpu_mask`.
std::string why_not_on_this_cpu(const std::vector<std::string> &features);

/// This machine's CPU. `threads` 0: the CPUs that the process may use. Kernels get `scratch_floats` of scratch.
std::unique_ptr<Device> open_cpu(uint32_t threads, size_t scratch_floats, Sharing sharing);

/// A GPU by its number among those that its driver shows; 0: the one that the environment variable GSIC_DEVICE names,
/// or the first. `kind` is hip or cuda. What was the calling thread's current device stays so, after every call. Throws
/// GSIC_NO_DEVICE: no driver, or no such device.
std::unique_ptr<Device> open_gpu(DeviceKind kind, uint32_t number = 0);

}  // namespace gsic

#endif
