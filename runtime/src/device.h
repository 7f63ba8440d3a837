// A device: where kernels run. One small set of functions; the rest of the runtime does not know which it is.
#ifndef GSIC_SRC_DEVICE_H
#define GSIC_SRC_DEVICE_H

#include <memory>
#include <string>
#include <vector>

#include "memory.h"

namespace gsic {

/// Memory of a device, zeroed when it is made; `address(0)` is aligned to 64 bytes.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  virtual uint8_t *address(uint64_t offset) const = 0;
};

/// A launch whose kernel and pointers are resolved.
struct ResolvedLaunch {
  void *kernel;            ///< from `Module::kernel`
  void *const *arguments;  ///< device pointers, owned by whoever resolved them
};

/// A loaded code object. Its kernels may be launched as long as it lives.
class Module {
 public:
  virtual ~Module() = default;
  /// The kernel of a C symbol; null if there is none.
  virtual void *kernel(const std::string &symbol) const = 0;
};

/// Thread-safe: launches of several sessions are serialised inside.
class Device {
 public:
  virtual ~Device() = default;
  /// Workers that share a launch.
  virtual uint32_t threads() const = 0;
  /// Throws GSIC_OUT_OF_MEMORY; `what` names the block.
  virtual std::unique_ptr<DeviceMemory> allocate(size_t bytes, const std::string &what) = 0;
  /// Makes host bytes readable by kernels; they outlive the result.
  virtual std::unique_ptr<DeviceMemory> share(Bytes bytes) = 0;
  /// Host to device; the launches that follow see it.
  virtual void write(uint8_t *target, const void *source, size_t bytes) = 0;
  /// Device to host, after all launches so far. Where the device's memory is the host's, nothing is copied and
  /// the result is `source`; else it is `staging`, which has room for `bytes`.
  virtual const void *read(const uint8_t *source, void *staging, size_t bytes) = 0;
  /// Throws GSIC_BAD_BUNDLE if the loader refuses the code object.
  virtual std::unique_ptr<Module> load(Bytes code, const std::string &name) = 0;
  /// Runs launches in order; each sees what the one before wrote. Returns when all is done.
  virtual void run(const ResolvedLaunch *launches, size_t count) = 0;
};

/// The first feature in `features` that this CPU lacks; empty if it has all of them. Names as in
/// `__builtin_cpu_supports`; an unknown name counts as lacking.
std::string missing_cpu_feature(const std::vector<std::string> &features);

/// This machine's CPU. `threads` 0: the CPUs that the process may use. Kernels get `scratch_floats` of scratch.
std::unique_ptr<Device> open_cpu(uint32_t threads, size_t scratch_floats);

}  // namespace gsic

#endif
