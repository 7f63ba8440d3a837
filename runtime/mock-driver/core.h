// The mock driver: devices without hardware, whose kernels are host-dialect functions (gsic/simulation.h). What
// is asked of a stream happens when somebody waits for it, as late as a driver may; a captured stream does nothing. A
// stream, and work on it, belong to the device that is current to the calling thread. Errors stay once the device is
// lost. A second mock driver in the process gets no device. Scalar loads do not see what a copy wrote over what they
// have read. hip.cpp and cuda.cpp give it the symbols of the two drivers.
#ifndef GSIC_MOCK_CORE_H
#define GSIC_MOCK_CORE_H

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "account.h"
#include "gsic/simulation.h"
#include "image.h"
#include "memory.h"

namespace gsic_mock {

/// Statuses that both drivers number alike.
enum Status {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kInvalidImage = 200,
  kInvalidContext = 201,
  kNoBinaryForGpu = 209,
  kInvalidPtx = 218,
  kInvalidHandle = 400,
  kFileNotFound = 301,
  kOperatingSystem = 304,
  kNotFound = 500,
  kIllegalAddress = 700,
  kLaunchFailure = 719,
  kCaptureUnsupported = 900,
  kCaptureInvalidated = 901,
};

struct Function {
  std::string name;
  gsic_simulated_kernel call;
  uint64_t most_lds;
};

struct LoadedModule {
  Image image;
  std::vector<std::unique_ptr<Function>> functions;
};

struct Launch {
  const Function *function;
  uint32_t workgroups, threads;
  std::vector<void *> arguments;
};

using Graph = std::vector<Launch>;

struct Stream {
  int device = 0;
  std::vector<std::function<Status()>> waiting;
  bool capturing = false, invalid = false;
  Graph captured;
};

/// Thread-safe.
class Core {
 public:
  /// The calling thread's device; -1: none.
  static int &current_device();

  Status initialize();
  Status device_count(int *count);
  Status device(int *device, int ordinal);
  Status check_device(int device);
  Status name(char *name, int bytes, int device);
  Status units(int *value, int device);
  Status memory_info(size_t *free, size_t *total);
  Status allocate(void **memory, size_t bytes);
  Status allocate_host(void **memory, size_t bytes);
  Status free(void *memory);
  Status free_host(void *memory);
  Status copy_to_device(void *target, const void *source, size_t bytes, void *stream);
  Status copy_on_device(void *target, const void *source, size_t bytes, void *stream);
  Status copy_to_host(void *target, const void *source, size_t bytes, void *stream);
  Status set_bytes(void *target, unsigned char value, size_t bytes, void *stream);
  Status create_stream(void **stream);
  Status destroy_stream(void *stream);
  Status synchronize(void *stream);
  Status load_module(void **module, const void *data, bool text);
  Status unload_module(void *module);
  Status find_function(void **function, void *module, const char *name);
  Status launch(void *function, const unsigned (&grid)[3], const unsigned (&block)[3], unsigned lds, void *stream,
                void **arguments);
  Status begin_capture(void *stream);
  Status end_capture(void *stream, void **graph);
  Status instantiate(void **instance, void *graph);
  Status launch_graph(void *instance, void *stream);
  Status destroy_graph(void *graph);
  Status destroy_instance(void *instance);
  /// The text of a status; valid for ever.
  const char *text(int status);
  void write_account();

 private:
  using Lock = std::lock_guard<std::mutex>;

  /// What every call returns before it does anything: kSuccess, or that the device is not there any more.
  Status ready() const;
  Stream *stream_of(void *handle);
  Status enqueue(void *stream, std::function<Status()> work);
  Status flush();
  Status run(const Launch &launch);
  bool owns(const Function *function) const;
  Status lose(Status status, const std::string &what);
  bool refuse_allocation(uint64_t device_bytes);
  bool capturing() const;
  /// Whether this is the first mock driver of the process that was initialised.
  bool is_first() const;

  std::mutex mutex_;
  bool initialized_ = false;
  Status lost_ = kSuccess;
  std::string lost_text_;
  uint64_t allocations_ = 0;
  Memory memory_;
  void *kernels_ = nullptr;
  std::map<void *, std::unique_ptr<Stream>> streams_;
  std::map<void *, std::unique_ptr<LoadedModule>> modules_;
  std::map<void *, std::unique_ptr<Graph>> graphs_, instances_;
  Account account_;
};

Core &core();

}  // namespace gsic_mock

#endif
