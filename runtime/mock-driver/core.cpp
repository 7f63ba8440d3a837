#include "core.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "settings.h"

namespace gsic_mock {

Core &core() {
  // Never destroyed: a program's threads may still call while it ends.
  static Core *const made = [] {
    std::atexit([] { core().write_account(); });
    return new Core;
  }();
  return *made;
}

void Core::write_account() {
  const Lock lock(mutex_);
  account_.live_allocations = memory_.blocks() + streams_.size() + modules_.size() + graphs_.size() + instances_.size();
  account_.write();
}

Status Core::ready() const { return lost_ != kSuccess ? lost_ : initialized_ ? kSuccess : kNotInitialized; }

Status Core::lose(Status status, const std::string &what) {
  lost_ = status;
  lost_text_ = "unspecified launch failure: " + what;
  return lost_;
}

const char *Core::text(int status) {
  const Lock lock(mutex_);
  if (status != kSuccess && status == lost_) return lost_text_.c_str();
  switch (status) {
    case kSuccess:
      return "no error";
    case kInvalidValue:
      return "invalid argument";
    case kOutOfMemory:
      return "out of memory";
    case kNotInitialized:
      return "initialization error";
    case kNoDevice:
      return "no GPU is detected";
    case kInvalidDevice:
      return "invalid device ordinal";
    case kInvalidImage:
      return "device kernel image is invalid";
    case kInvalidContext:
      return "invalid device context";
    case kNoBinaryForGpu:
      return "no kernel image is available for execution on the device";
    case kInvalidPtx:
      return "a PTX JIT compilation failed";
    case kInvalidHandle:
      return "invalid resource handle";
    case kFileNotFound:
      return "file not found";
    case kOperatingSystem:
      return "another driver of this process has the device";
    case kNotFound:
      return "named symbol not found";
    case kCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case kCaptureInvalidated:
      return "operation failed due to a previous error during capture";
    default:
      return nullptr;
  }
}

int &Core::current_device() {
  static thread_local int device = 0;
  return device;
}

bool Core::is_first() const {
  constexpr const char *kName = "GSIC_MOCK_OPENED";
  // Kept in the environment, which all libraries of a process share, and its children inherit.
  const std::string own = std::to_string(getpid()) + ":" + std::to_string(reinterpret_cast<uintptr_t>(this));
  const char *found = std::getenv(kName);
  const std::string known = found != nullptr ? found : "";
  if (known == own) return true;
  if (known.rfind(own.substr(0, own.find(':') + 1), 0) == 0) return false;
  setenv(kName, own.c_str(), 1);
  return true;
}

Status Core::initialize() {
  const Lock lock(mutex_);
  if (!is_first()) return kOperatingSystem;
  initialized_ = true;
  if (lost_ != kSuccess) return lost_;
  return settings().devices > 0 ? kSuccess : kNoDevice;
}

Status Core::device_count(int *count) {
  const Lock lock(mutex_);
  *count = int(settings().devices);
  return ready();
}

Status Core::device(int *device, int ordinal) {
  *device = ordinal;
  return check_device(ordinal);
}

Status Core::check_device(int device) {
  const Lock lock(mutex_);
  if (ready() != kSuccess) return ready();
  return device >= 0 && uint64_t(device) < settings().devices ? kSuccess : kInvalidDevice;
}

Status Core::name(char *name, int bytes, int device) {
  if (const Status status = check_device(device)) return status;
  const std::string full = "gsic mock driver" + (settings().architecture.empty() ? "" : " " + settings().architecture);
  name[full.copy(name, size_t(bytes) - 1)] = '\0';
  return kSuccess;
}

Status Core::units(int *value, int device) {
  *value = int(settings().units);
  return check_device(device);
}

Status Core::memory_info(size_t *free, size_t *total) {
  const Lock lock(mutex_);
  *total = settings().memory;
  *free = settings().memory - memory_.used();
  return ready();
}

bool Core::capturing() const {
  return std::any_of(streams_.begin(), streams_.end(), [](const auto &one) { return one.second->capturing; });
}

bool Core::refuse_allocation(uint64_t device_bytes) {
  return ++allocations_ == settings().fail_allocation || device_bytes > settings().memory - memory_.used();
}

Status Core::allocate(void **memory, size_t bytes) {
  const Lock lock(mutex_);
  if (ready() != kSuccess) return ready();
  if (capturing()) return kCaptureUnsupported;
  *memory = nullptr;
  if (bytes == 0) return kInvalidValue;
  if (refuse_allocation(bytes)) return kOutOfMemory;
  account_.allocate_on(current_device());
  *memory = memory_.allocate(bytes);
  return *memory != nullptr ? kSuccess : kOutOfMemory;
}

Status Core::allocate_host(void **memory, size_t bytes) {
  const Lock lock(mutex_);
  if (ready() != kSuccess) return ready();
  if (capturing()) return kCaptureUnsupported;
  *memory = nullptr;
  if (refuse_allocation(0)) return kOutOfMemory;
  *memory = memory_.allocate_host(bytes);
  return *memory != nullptr ? kSuccess : kOutOfMemory;
}

// A lost device takes back what it gave, so that what was forgotten can be told from what could not be given back.
Status Core::free(void *memory) {
  const Lock lock(mutex_);
  const Status status = flush();
  if (memory == nullptr) return status;
  const bool known = memory_.free(memory);
  return status != kSuccess ? status : known ? kSuccess : kInvalidValue;
}

Status Core::free_host(void *memory) {
  const Lock lock(mutex_);
  const Status status = flush();
  const bool known = memory_.free_host(memory);
  return status != kSuccess ? status : known ? kSuccess : kInvalidValue;
}

Stream *Core::stream_of(void *handle) {
  const auto found = streams_.find(handle);
  return found != streams_.end() ? found->second.get() : nullptr;
}

Status Core::enqueue(void *handle, std::function<Status()> work) {
  if (ready() != kSuccess) return ready();
  Stream *stream = stream_of(handle);
  if (stream == nullptr || stream->device != current_device()) return kInvalidHandle;
  if (stream->capturing) {
    stream->invalid = true;
    return kCaptureUnsupported;
  }
  stream->waiting.push_back(std::move(work));
  return kSuccess;
}

/// Does what waits on all streams.
Status Core::flush() {
  for (auto &[handle, stream] : streams_) {
    const auto work = std::move(stream->waiting);
    stream->waiting.clear();
    for (const auto &one : work) {
      if (ready() != kSuccess) return ready();
      const Status status = one();
      if (status != kSuccess && lost_ == kSuccess) lose(status, "a copy outside of memory");
    }
  }
  return ready();
}

Status Core::copy_to_device(void *target, const void *source, size_t bytes, void *stream) {
  const Lock lock(mutex_);
  if (memory_.find(target, bytes) == nullptr) return ready() != kSuccess ? ready() : kInvalidValue;
  const auto copy = [this, target, bytes](const void *from) {
    return memory_.copy_in(target, from, bytes) ? kSuccess : kIllegalAddress;
  };
  // Memory that the device cannot reach is copied before the call returns; other memory as late as now is.
  if (memory_.is_reachable(source, bytes)) return enqueue(stream, [copy, source] { return copy(source); });
  const auto *first = static_cast<const uint8_t *>(source);
  return enqueue(stream, [copy, kept = std::vector<uint8_t>(first, first + bytes)] { return copy(kept.data()); });
}

Status Core::copy_to_host(void *target, const void *source, size_t bytes, void *stream) {
  const Lock lock(mutex_);
  if (memory_.find(source, bytes) == nullptr) return ready() != kSuccess ? ready() : kInvalidValue;
  const Status status = enqueue(stream, [this, target, source, bytes] {
    const uint8_t *from = memory_.find(source, bytes);
    if (from == nullptr) return kIllegalAddress;
    std::memcpy(target, from, bytes);
    account_.bytes_to_host += bytes;
    return kSuccess;
  });
  return status != kSuccess || memory_.is_reachable(target, bytes) ? status : flush();
}

Status Core::copy_on_device(void *target, const void *source, size_t bytes, void *stream) {
  const Lock lock(mutex_);
  if (memory_.find(target, bytes) == nullptr || memory_.find(source, bytes) == nullptr)
    return ready() != kSuccess ? ready() : kInvalidValue;
  return enqueue(stream, [this, target, source, bytes] {
    uint8_t *to = memory_.find(target, bytes);
    const uint8_t *from = memory_.find(source, bytes);
    if (to == nullptr || from == nullptr) return kIllegalAddress;
    std::memmove(to, from, bytes);
    return kSuccess;
  });
}

Status Core::set_bytes(void *target, unsigned char value, size_t bytes, void *stream) {
  const Lock lock(mutex_);
  if (memory_.find(target, bytes) == nullptr) return ready() != kSuccess ? ready() : kInvalidValue;
  return enqueue(stream, [this, target, value, bytes] {
    uint8_t *to = memory_.find(target, bytes);
    if (to == nullptr) return kIllegalAddress;
    std::memset(to, value, bytes);
    return kSuccess;
  });
}

Status Core::create_stream(void **stream) {
  const Lock lock(mutex_);
  if (ready() != kSuccess) return ready();
  auto made = std::make_unique<Stream>();
  made->device = current_device();
  *stream = made.get();
  streams_[*stream] = std::move(made);
  return kSuccess;
}

Status Core::destroy_stream(void *stream) {
  const Lock lock(mutex_);
  const Status status = flush();
  return streams_.erase(stream) == 0 && status == kSuccess ? kInvalidHandle : status;
}

Status Core::synchronize(void *stream) {
  const Lock lock(mutex_);
  if (ready() != kSuccess) return ready();
  Stream *found = stream_of(stream);
  if (found == nullptr) return kInvalidHandle;
  if (found->capturing) {
    found->invalid = true;
    return kCaptureUnsupported;
  }
  return flush();
}

}  // namespace gsic_mock
