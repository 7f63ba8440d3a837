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
  /// Opens the device of a number, from 0. Throws GSIC_NO_DEVICE, GSIC_OUT_OF_MEMORY.
  GpuContext(DeviceKind kind, uint32_t number);
  ~GpuContext();
  GpuContext(const GpuContext &) = delete;
  GpuContext &operator=(const GpuContext &) = delete;

  /// As long as it lives, the device is current to the calling thread, and no other thread asks it. Then what was
  /// current before is so again: the thread is the caller's.
  class Entered {
   public:
    ~Entered();
    Entered(const Entered &) = delete;
    Entered &operator=(const Entered &) = delete;

   private:
    friend class GpuContext;
    /// Remembers what is current, then calls the function, if there is one.
    Entered(GpuContext &context, void (GpuContext::*make_current)());

    GpuContext &context_;
    std::unique_lock<std::recursive_mutex> lock_;
    int device_ = 0;
    DriverHandle handle_ = nullptr;
    bool known_ = false;  ///< whether `device_` was current
  };

  /// Throws GSIC_DEVICE_LOST, and GSIC_INVALID_ARGUMENT in a process that was forked.
  Entered enter();
  /// As `enter`, for whoever gives something back: also where the device is lost. In a process that was
  /// forked nothing is given back: the device is its parent's.
  Entered enter_to_release() noexcept;

  /// The status of a call of the driver between `enter` and the end of what it gave. A failure is ours alone: the
  /// driver forgets it, so that the caller's own checks do not find it.
  template <typename... Parameters, typename... Values>
  int attempt(const DriverFunction<Parameters...> &function, Values... values) noexcept {
    const int status = function.call(values...);
    if (status != 0 && driver_.last_error.call != nullptr) driver_.last_error.call();
    return status;
  }

  /// As `attempt`. Throws GSIC_OUT_OF_MEMORY, GSIC_DEVICE_LOST.
  template <typename... Parameters, typename... Values>
  void call(const DriverFunction<Parameters...> &function, Values... values) {
    const int status = attempt(function, values...);
    if (status != 0) fail(status, function.name);
  }
  /// As `attempt`; failures are of no interest any more.
  template <typename... Parameters, typename... Values>
  void release(const DriverFunction<Parameters...> &function, Values... values) noexcept {
    if (home_.is_here()) attempt(function, values...);
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
  void open_device(uint32_t number);
  /// Makes the device current. Throws GSIC_DEVICE_LOST.
  void require_current();
  /// The same, or not.
  void try_current();
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
