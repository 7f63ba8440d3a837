// An opened GPU: its driver, its stream, and the lock that lets one thread at a time ask the driver.
#ifndef GSIC_SRC_GPU_CONTEXT_H
#define GSIC_SRC_GPU_CONTEXT_H

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "driver.h"
#include "error.h"
#include "home_process.h"

namespace gsic {

/// Everything that lives on the device shares it. All work goes through one stream, in order.
class GpuContext {
 public:
  /// Throws GSIC_NO_DEVICE, GSIC_OUT_OF_MEMORY.
  explicit GpuContext(DeviceKind kind);
  ~GpuContext();
  GpuContext(const GpuContext &) = delete;
  GpuContext &operator=(const GpuContext &) = delete;

  using Lock = std::unique_lock<std::recursive_mutex>;

  /// Makes the device current to the calling thread as long as the result lives. Throws GSIC_DEVICE_LOST, and
  /// GSIC_INVALID_ARGUMENT in a process that was forked.
  Lock enter();
  /// As `enter`, for whoever gives something back: also where the device is lost. In a process that was forked nothing
  /// is given back: the device is its parent's.
  Lock enter_to_release() noexcept;

  /// Calls the driver between `enter` and the end of its lock. Throws GSIC_OUT_OF_MEMORY, GSIC_DEVICE_LOST.
  template <typename... Parameters, typename... Values>
  void call(const DriverFunction<Parameters...> &function, Values... values) {
    const int status = function.call(values...);
    if (status != 0) fail(status, function.name);
  }
  /// As `call`; failures are of no interest any more.
  template <typename... Parameters, typename... Values>
  void release(const DriverFunction<Parameters...> &function, Values... values) noexcept {
    if (home_.is_here()) function.call(values...);
  }

  /// Throws GSIC_OUT_OF_MEMORY, with all figures, if fewer than `bytes` are free; `what` names what they are for.
  void require_memory(uint64_t bytes, const std::string &what);
  /// Throws GSIC_OUT_OF_MEMORY for `bytes` that the driver did not give.
  [[noreturn]] void refuse_memory(uint64_t bytes, const std::string &what);
  /// What a failed call is worth: throws GSIC_OUT_OF_MEMORY, or GSIC_DEVICE_LOST from now on.
  [[noreturn]] void fail(int status, const char *function);

  const Driver &driver() const { return driver_; }
  DriverHandle stream() const { return stream_; }
  const std::string &name() const { return name_; }
  uint32_t units() const { return units_; }
  uint32_t wave() const { return wave_; }

 private:
  void open_device();
  uint32_t attribute(int number);
  void close() noexcept;
  template <typename... Parameters, typename... Values>
  void opening(const DriverFunction<Parameters...> &function, Values... values);

  Driver driver_;
  HomeProcess home_;
  std::recursive_mutex mutex_;
  int device_ = 0;
  DriverHandle context_ = nullptr, stream_ = nullptr;
  std::string name_;
  uint32_t units_ = 0, wave_ = 0;
  std::string lost_;  ///< what failed; empty while the device works
};

}  // namespace gsic

#endif
