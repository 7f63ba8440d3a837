#include "gpu_context.h"

namespace gsic {
namespace {

constexpr int kMostNameBytes = 256;
constexpr const char *kWhereLost =
    "close the model and open it again; where that fails too, restart this program, and look into the system's log "
    "(dmesg)";

}  // namespace

GpuContext::GpuContext(DeviceKind kind, uint32_t number) : driver_(open_driver(kind)) {
  const Entered entered(*this, nullptr);
  try {
    open_device(number);
  } catch (...) {
    close();
    throw;
  }
}

GpuContext::~GpuContext() {
  const Entered entered = enter_to_release();
  close();
}

GpuContext::Entered::Entered(GpuContext &context, void (GpuContext::*make_current)()) : context_(context) {
  if (!context_.home_.is_here()) return;
  lock_ = std::unique_lock(context_.mutex_);
  const Driver &driver = context_.driver_;
  if (driver.device_current.call != nullptr)
    known_ = context_.attempt(driver.device_current, &device_) == 0;
  else
    context_.release(driver.context_current, &handle_);  // null before the driver is initialised
  if (make_current != nullptr) (context_.*make_current)();
}

GpuContext::Entered::~Entered() {
  if (!lock_.owns_lock()) return;
  const Driver &driver = context_.driver_;
  if (driver.device_current.call == nullptr)
    context_.release(driver.context_set, handle_);
  else if (known_)
    context_.release(driver.device_set, device_);
}

void GpuContext::require_current() {
  if (!lost_.empty()) throw Error(GSIC_DEVICE_LOST, "an earlier call failed: " + lost_, kWhereLost);
  if (driver_.device_set.call != nullptr)
    call(driver_.device_set, device_);
  else
    call(driver_.context_set, context_);
}

void GpuContext::try_current() {
  if (driver_.device_set.call != nullptr)
    release(driver_.device_set, device_);
  else
    release(driver_.context_set, context_);
}

GpuContext::Entered GpuContext::enter() {
  home_.require();
  return Entered(*this, &GpuContext::require_current);
}

GpuContext::Entered GpuContext::enter_to_release() noexcept { return Entered(*this, &GpuContext::try_current); }

template <typename... Parameters, typename... Values>
void GpuContext::opening(const DriverFunction<Parameters...> &function, Values... values) {
  const int status = attempt(function, values...);
  if (status == 0) return;
  throw Error(status == kDriverOutOfMemory ? GSIC_OUT_OF_MEMORY : GSIC_NO_DEVICE,
              std::string(driver_.title) + " opens no device: " + function.name + ": " + driver_.text(status));
}

uint32_t GpuContext::attribute(int number) {
  int value = 0;
  opening(driver_.device_attribute, &value, number, device_);
  if (value <= 0)
    throw Error(GSIC_NO_DEVICE, name_ + " answers " + std::to_string(value) + " to a question for its size");
  return uint32_t(value);
}

void GpuContext::open_device(uint32_t number) {
  opening(driver_.initialize, 0u);
  int count = 0;
  opening(driver_.device_count, &count);
  if (count <= 0) throw Error(GSIC_NO_DEVICE, std::string(driver_.title) + " shows no device");
  if (number >= uint32_t(count))
    throw Error(GSIC_NO_DEVICE,
                std::string(driver_.title) + " shows no device " + std::to_string(number) + ": it shows " +
                    std::to_string(count) + ", numbered from 0",
                "choose another one, or set GSIC_DEVICE");
  opening(driver_.device_get, &device_, int(number));
  char name[kMostNameBytes] = {};
  opening(driver_.device_name, name, kMostNameBytes - 1, device_);
  name_ = name;
  units_ = attribute(driver_.attribute_units);
  wave_ = attribute(driver_.attribute_wave);
  if (driver_.device_set.call != nullptr) {
    opening(driver_.device_set, device_);
  } else {
    opening(driver_.context_retain, &context_, device_);
    opening(driver_.context_set, context_);
  }
  opening(driver_.stream_create, &stream_, kStreamNonBlocking);
}

void GpuContext::close() noexcept {
  if (stream_ != nullptr) release(driver_.stream_destroy, stream_);
  if (context_ != nullptr) release(driver_.context_release, device_);
}

void GpuContext::fail(int status, const char *function) {
  const std::string what = std::string(function) + " on " + name_ + ": " + driver_.text(status);
  if (status == kDriverOutOfMemory)
    throw Error(GSIC_OUT_OF_MEMORY, what, "close other programs and sessions that use the device");
  lost_ = what;
  throw Error(GSIC_DEVICE_LOST, lost_, kWhereLost);
}

void GpuContext::require_memory(uint64_t bytes, const std::string &what) {
  size_t free = 0, total = 0;
  call(driver_.memory_info, &free, &total);
  if (bytes > free) refuse_memory(bytes, what);
}

void GpuContext::refuse_memory(uint64_t bytes, const std::string &what) {
  size_t free = 0, total = 0;
  std::string room;
  if (attempt(driver_.memory_info, &free, &total) == 0) {
    room = name_ + " has " + std::to_string(free) + " of its " + std::to_string(total) + " free, ";
    room += bytes > free ? std::to_string(bytes - free) + " too few" : "but not in one piece";
  } else {
    room = name_ + " does not have them";
  }
  throw Error(GSIC_OUT_OF_MEMORY, std::to_string(bytes) + " bytes are needed for " + what + ", and " + room +
                                      ": close other programs and sessions that use the device, take a device with "
                                      "more memory, or build the model with a shorter context");
}

}  // namespace gsic
