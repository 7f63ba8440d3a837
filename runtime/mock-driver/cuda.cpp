// NVIDIA's names for the mock driver. Signatures as in cuda.h; device pointers are integers there, passed alike.
#include "core.h"

#define GSIC_EXPORT extern "C" __attribute__((visibility("default")))

using gsic_mock::core;

namespace {

/// CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, CU_DEVICE_ATTRIBUTE_WARP_SIZE
constexpr int kUnits = 16, kWarpSize = 10, kWave = 32;

/// The primary contexts, and the calling thread's.
constexpr int kMostDevices = 16;
char primary[kMostDevices];
thread_local void *current = nullptr;

/// Calls need a current context.
template <typename Call> int in_context(Call call) {
  return current != nullptr ? int(call()) : int(gsic_mock::kInvalidContext);
}

}  // namespace

GSIC_EXPORT int cuInit(unsigned) { return core().initialize(); }
GSIC_EXPORT int cuDeviceGetCount(int *count) { return core().device_count(count); }
GSIC_EXPORT int cuDeviceGet(int *device, int ordinal) { return core().device(device, ordinal); }
GSIC_EXPORT int cuDeviceGetName(char *name, int bytes, int device) { return core().name(name, bytes, device); }
GSIC_EXPORT int cuDeviceGetAttribute(int *value, int attribute, int device) {
  if (attribute == kUnits) return core().units(value, device);
  *value = kWave;
  return attribute == kWarpSize ? core().check_device(device) : gsic_mock::kInvalidValue;
}
GSIC_EXPORT int cuDevicePrimaryCtxRetain(void **context, int device) {
  *context = &primary[device];
  return core().check_device(device);
}
GSIC_EXPORT int cuDevicePrimaryCtxRelease_v2(int device) { return core().check_device(device); }
GSIC_EXPORT int cuCtxSetCurrent(void *context) {
  current = context;
  gsic_mock::Core::current_device() = context != nullptr ? int(static_cast<char *>(context) - primary) : -1;
  return core().check_device(0);
}
GSIC_EXPORT int cuCtxGetCurrent(void **context) {
  *context = current;
  return core().check_device(0);
}
GSIC_EXPORT int cuMemGetInfo_v2(size_t *free, size_t *total) {
  return in_context([&] { return core().memory_info(free, total); });
}
GSIC_EXPORT int cuMemAlloc_v2(void **memory, size_t bytes) {
  return in_context([&] { return core().allocate(memory, bytes); });
}
GSIC_EXPORT int cuMemFree_v2(void *memory) {
  return in_context([&] { return core().free(memory); });
}
GSIC_EXPORT int cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
  return in_context([&] { return core().allocate_host(memory, bytes); });
}
GSIC_EXPORT int cuMemFreeHost(void *memory) {
  return in_context([&] { return core().free_host(memory); });
}
GSIC_EXPORT int cuMemcpyHtoDAsync_v2(void *target, const void *source, size_t bytes, void *stream) {
  return in_context([&] { return core().copy_to_device(target, source, bytes, stream); });
}
GSIC_EXPORT int cuMemcpyDtoHAsync_v2(void *target, const void *source, size_t bytes, void *stream) {
  return in_context([&] { return core().copy_to_host(target, source, bytes, stream); });
}
GSIC_EXPORT int cuMemcpyDtoDAsync_v2(void *target, const void *source, size_t bytes, void *stream) {
  return in_context([&] { return core().copy_on_device(target, source, bytes, stream); });
}
GSIC_EXPORT int cuMemsetD8Async(void *target, unsigned char value, size_t bytes, void *stream) {
  return in_context([&] { return core().set_bytes(target, value, bytes, stream); });
}
GSIC_EXPORT int cuStreamCreate(void **stream, unsigned) {
  return in_context([&] { return core().create_stream(stream); });
}
GSIC_EXPORT int cuStreamDestroy_v2(void *stream) {
  return in_context([&] { return core().destroy_stream(stream); });
}
GSIC_EXPORT int cuStreamSynchronize(void *stream) {
  return in_context([&] { return core().synchronize(stream); });
}
GSIC_EXPORT int cuModuleLoadData(void **module, const void *image) {
  return in_context([&] { return core().load_module(module, image, true); });
}
GSIC_EXPORT int cuModuleUnload(void *module) {
  return in_context([&] { return core().unload_module(module); });
}
GSIC_EXPORT int cuModuleGetFunction(void **function, void *module, const char *name) {
  return in_context([&] { return core().find_function(function, module, name); });
}
GSIC_EXPORT int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                               unsigned block_y, unsigned block_z, unsigned lds, void *stream, void **arguments,
                               void **) {
  return in_context([&] {
    return core().launch(function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, lds, stream, arguments);
  });
}
GSIC_EXPORT int cuStreamBeginCapture_v2(void *stream, int) {
  return in_context([&] { return core().begin_capture(stream); });
}
GSIC_EXPORT int cuStreamEndCapture(void *stream, void **graph) {
  return in_context([&] { return core().end_capture(stream, graph); });
}
GSIC_EXPORT int cuGraphInstantiateWithFlags(void **instance, void *graph, unsigned long long) {
  return in_context([&] { return core().instantiate(instance, graph); });
}
GSIC_EXPORT int cuGraphLaunch(void *instance, void *stream) {
  return in_context([&] { return core().launch_graph(instance, stream); });
}
GSIC_EXPORT int cuGraphDestroy(void *graph) {
  return in_context([&] { return core().destroy_graph(graph); });
}
GSIC_EXPORT int cuGraphExecDestroy(void *instance) {
  return in_context([&] { return core().destroy_instance(instance); });
}
GSIC_EXPORT int cuGetErrorString(int status, const char **text) {
  *text = core().text(status);
  return *text != nullptr ? gsic_mock::kSuccess : gsic_mock::kInvalidValue;
}
