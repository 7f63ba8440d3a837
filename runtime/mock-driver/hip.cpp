// AMD's names for the mock driver. Signatures as in hip_runtime_api.h.
#include <utility>

#include "core.h"
#include "settings.h"

#define GSIC_EXPORT extern "C" __attribute__((visibility("default")))

using gsic_mock::core;

namespace {

/// hipDeviceAttributeMultiprocessorCount, hipDeviceAttributeWarpSize
constexpr int kHipUnits = 63, kHipWarpSize = 87, kHipWave = 64;

/// The thread's last error, until it is asked for: a library that fails leaves it to whoever asks next.
thread_local int last_error = gsic_mock::kSuccess;

int noted(int status) {
  if (status != gsic_mock::kSuccess) last_error = status;
  return status;
}

}  // namespace

GSIC_EXPORT int hipInit(unsigned) { return noted(core().initialize()); }
GSIC_EXPORT int hipGetDeviceCount(int *count) { return noted(core().device_count(count)); }
GSIC_EXPORT int hipDeviceGet(int *device, int ordinal) { return noted(core().device(device, ordinal)); }
GSIC_EXPORT int hipDeviceGetName(char *name, int bytes, int device) { return noted(core().name(name, bytes, device)); }
GSIC_EXPORT int hipDeviceGetAttribute(int *value, int attribute, int device) {
  if (attribute == kHipUnits) return noted(core().units(value, device));
  *value = kHipWave;
  return noted(attribute == kHipWarpSize ? core().check_device(device) : gsic_mock::kInvalidValue);
}
GSIC_EXPORT int hipSetDevice(int device) {
  if (device < 0 || uint64_t(device) >= gsic_mock::settings().devices) return noted(gsic_mock::kInvalidDevice);
  gsic_mock::Core::current_device() = device;
  return gsic_mock::kSuccess;
}
GSIC_EXPORT int hipGetDevice(int *device) {
  *device = gsic_mock::Core::current_device();
  return gsic_mock::kSuccess;
}
GSIC_EXPORT int hipGetLastError() { return std::exchange(last_error, int(gsic_mock::kSuccess)); }
GSIC_EXPORT int hipPeekAtLastError() { return last_error; }
GSIC_EXPORT int hipMemGetInfo(size_t *free, size_t *total) { return noted(core().memory_info(free, total)); }
GSIC_EXPORT int hipMalloc(void **memory, size_t bytes) { return noted(core().allocate(memory, bytes)); }
GSIC_EXPORT int hipFree(void *memory) { return noted(core().free(memory)); }
GSIC_EXPORT int hipHostMalloc(void **memory, size_t bytes, unsigned) {
  return noted(core().allocate_host(memory, bytes));
}
GSIC_EXPORT int hipHostFree(void *memory) { return noted(core().free_host(memory)); }
GSIC_EXPORT int hipMemcpyHtoDAsync(void *target, const void *source, size_t bytes, void *stream) {
  return noted(core().copy_to_device(target, source, bytes, stream));
}
GSIC_EXPORT int hipMemcpyDtoHAsync(void *target, const void *source, size_t bytes, void *stream) {
  return noted(core().copy_to_host(target, source, bytes, stream));
}
GSIC_EXPORT int hipMemcpyDtoDAsync(void *target, const void *source, size_t bytes, void *stream) {
  return noted(core().copy_on_device(target, source, bytes, stream));
}
GSIC_EXPORT int hipMemsetD8Async(void *target, unsigned char value, size_t bytes, void *stream) {
  return noted(core().set_bytes(target, value, bytes, stream));
}
GSIC_EXPORT int hipStreamCreateWithFlags(void **stream, unsigned) { return noted(core().create_stream(stream)); }
GSIC_EXPORT int hipStreamDestroy(void *stream) { return noted(core().destroy_stream(stream)); }
GSIC_EXPORT int hipStreamSynchronize(void *stream) { return noted(core().synchronize(stream)); }
GSIC_EXPORT int hipModuleLoadData(void **module, const void *image) {
  return noted(core().load_module(module, image, false));
}
GSIC_EXPORT int hipModuleUnload(void *module) { return noted(core().unload_module(module)); }
GSIC_EXPORT int hipModuleGetFunction(void **function, void *module, const char *name) {
  return noted(core().find_function(function, module, name));
}
GSIC_EXPORT int hipModuleLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                      unsigned block_x, unsigned block_y, unsigned block_z, unsigned lds, void *stream,
                                      void **arguments, void **) {
  return noted(core().launch(function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, lds, stream, arguments));
}
GSIC_EXPORT int hipStreamBeginCapture(void *stream, int) { return noted(core().begin_capture(stream)); }
GSIC_EXPORT int hipStreamEndCapture(void *stream, void **graph) { return noted(core().end_capture(stream, graph)); }
GSIC_EXPORT int hipGraphInstantiateWithFlags(void **instance, void *graph, unsigned long long) {
  return noted(core().instantiate(instance, graph));
}
GSIC_EXPORT int hipGraphLaunch(void *instance, void *stream) { return noted(core().launch_graph(instance, stream)); }
GSIC_EXPORT int hipGraphDestroy(void *graph) { return noted(core().destroy_graph(graph)); }
GSIC_EXPORT int hipGraphExecDestroy(void *instance) { return noted(core().destroy_instance(instance)); }
GSIC_EXPORT const char *hipGetErrorString(int status) {
  const char *text = core().text(status);
  return text != nullptr ? text : "unrecognized error code";
}
