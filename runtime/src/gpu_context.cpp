#include "gpu_context.h"

namespace gsic {
namespace {

constexpr int kMostNameBytes = 256;
constexpr const char *kWhereLost =
    "close the model and open it again; where that fails too, restart this program, and look into the system's log "
    "(dmesg)";

}  // namespace

GpuContext::GpuContext(DeviceKind kind) : driver_(open_driver(kind)) {
  try {
    open_device();
  } catch (...) {
    close();
    throw;
  }
}

GpuContext::~GpuContext() {
  const Lock lock = enter_to_release();
  close();
}

template <typename... Parameters, typename... Values>
void GpuContext::opening(const DriverFunction<Parameters...> &function, Values... values) {
  const int status = function.call(values...);
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

void GpuContext::open_device() {
  opening(driver_.initialize, 0u);
  int count = 0;
  opening(driver_.device_count, &count);
  if (count <= 0) throw Error(GSIC_NO_DEVICE, std::string(driver_.title) + " shows no device");
  opening(driver_.device_get, &device_, 0);
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

GpuContext::Lock GpuContext::enter() {
  home_.require();
  Lock lock(mutex_);
  if (!lost_.empty()) throw Error(GSIC_DEVICE_LOST, "an earlier call failed: " + lost_, kWhereLost);
  if (driver_.device_set.call != nullptr)
    call(driver_.device_set, device_);
  else
    call(driver_.context_set, context_);
  return lock;
}

GpuContext::Lock GpuContext::enter_to_release() noexcept {
  if (!home_.is_here()) return {};
  Lock lock(mutex_);
  if (driver_.device_set.call != nullptr)
    release(driver_.device_set, device_);
  else
    release(driver_.context_set, context_);
  return lock;
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
  if (driver_.memory_info.call(&free, &total) == 0) {
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
