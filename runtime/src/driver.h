// A GPU's driver as a table of functions. AMD's (HIP) and NVIDIA's (CUDA) differ in the names of functions, in a few
// numbers, and in how a device is made current; that difference ends here. A process has one driver of a kind: where
// another library, such as PyTorch, has opened it, that one is used. Device memory is addressed by pointers as
// wide as the host's; the host must not follow them.
#ifndef GSIC_SRC_DRIVER_H
#define GSIC_SRC_DRIVER_H

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "manifest.h"

namespace gsic {

/// A function of a driver under the driver's own name. Returns 0, or a number that Driver::text explains.
template <typename... Parameters> struct DriverFunction {
  const char *name = nullptr;
  int (*call)(Parameters...) = nullptr;
};

using DriverHandle = void *;  ///< a stream, module, function, graph or context

struct Driver {
  DeviceKind kind;
  const char *title;                   ///< whose driver it is, for messages
  std::vector<std::string> libraries;  ///< where the system keeps it, tried in order
  const char *hint;                    ///< how to get it

  int attribute_units, attribute_wave;  ///< for device_attribute: compute units; lanes of a wave

  DriverFunction<unsigned> initialize;
  DriverFunction<int *> device_count;
  DriverFunction<int *, int> device_get;
  DriverFunction<char *, int, int> device_name;
  DriverFunction<int *, int, int> device_attribute;
  DriverFunction<size_t *, size_t *> memory_info;  ///< free, total
  DriverFunction<void **, size_t> memory_allocate;
  DriverFunction<void *> memory_free;
  DriverFunction<void **, size_t, unsigned> host_allocate;
  DriverFunction<void *> host_free;
  DriverFunction<void *, const void *, size_t, DriverHandle> copy_to_device, copy_to_host, copy_on_device;
  DriverFunction<void *, unsigned char, size_t, DriverHandle> set_bytes;
  DriverFunction<DriverHandle *, unsigned> stream_create;
  DriverFunction<DriverHandle> stream_destroy, stream_synchronize;
  DriverFunction<DriverHandle *, const void *> module_load;
  DriverFunction<DriverHandle> module_unload;
  DriverFunction<DriverHandle *, DriverHandle, const char *> module_function;
  /// function, grid x y z, block x y z, bytes of dynamic LDS, stream, pointers to the parameters, null.
  DriverFunction<DriverHandle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, DriverHandle,
                 void **, void **>
      launch;
  DriverFunction<DriverHandle, int> capture_begin;
  DriverFunction<DriverHandle, DriverHandle *> capture_end;
  DriverFunction<DriverHandle *, DriverHandle, unsigned long long> graph_instantiate;
  DriverFunction<DriverHandle, DriverHandle> graph_launch;
  DriverFunction<DriverHandle> graph_destroy, graph_instance_destroy;

  // A driver has the first two of these, or the four others. What is current is the calling thread's.
  DriverFunction<int> device_set;
  DriverFunction<int *> device_current;
  DriverFunction<DriverHandle *> context_current;
  DriverFunction<DriverHandle *, int> context_retain;
  DriverFunction<DriverHandle> context_set;
  DriverFunction<int> context_release;

  DriverFunction<> last_error;  ///< returns and forgets the thread's last error; only of a driver that remembers it

  // A driver has one of these.
  const char *(*text_of)(int status) = nullptr;
  DriverFunction<int, const char **> text_get;

  /// What the driver says about a status.
  std::string text(int status) const;
};

constexpr int kDriverOutOfMemory = 2, kDriverNotFound = 500;
/// For stream_create: work of other streams does not wait for this one.
constexpr unsigned kStreamNonBlocking = 1;
/// For capture_begin: what other threads do meanwhile does not disturb it.
constexpr int kCaptureThreadLocal = 1;

/// Looks up functions in a driver's library, and remembers the names that it lacks.
class SymbolBinder {
 public:
  explicit SymbolBinder(void *library) : library_(library) {}

  template <typename... Parameters> void operator()(DriverFunction<Parameters...> &function, const char *name) {
    function.name = name;
    function.call = reinterpret_cast<int (*)(Parameters...)>(find(name));
  }
  void operator()(const char *(*&function)(int), const char *name) {
    function = reinterpret_cast<const char *(*)(int)>(find(name));
  }
  const std::vector<std::string> &missing() const { return missing_; }

 private:
  void *find(const char *name);

  void *library_;
  std::vector<std::string> missing_;
};

/// What is known of each driver without opening it, and the names of its functions.
Driver hip_driver();
void bind_hip(Driver &driver, SymbolBinder &bind);
Driver cuda_driver();
void bind_cuda(Driver &driver, SymbolBinder &bind);

/// Opens the library that the environment variable GSIC_DRIVER names; or the driver that this process has loaded
/// already; or the system's. Throws GSIC_NO_DEVICE.
Driver open_driver(DeviceKind kind);

}  // namespace gsic

#endif
