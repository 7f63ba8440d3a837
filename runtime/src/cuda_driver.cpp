// NVIDIA's driver: names, and numbers of cuda.h (CUDA 11.4 and later).
#include "driver.h"

namespace gsic {

Driver cuda_driver() {
  Driver driver{};
  driver.kind = DeviceKind::cuda;
  driver.title = "NVIDIA's driver (CUDA)";
  driver.libraries = {"libcuda.so.1"};
  driver.hint = "install NVIDIA's driver, or name its libcuda.so.1 in the environment variable GSIC_DRIVER";
  driver.attribute_units = 16;
  driver.attribute_wave = 10;
  return driver;
}

void bind_cuda(Driver &driver, SymbolBinder &bind) {
  bind(driver.initialize, "cuInit");
  bind(driver.device_count, "cuDeviceGetCount");
  bind(driver.device_get, "cuDeviceGet");
  bind(driver.device_name, "cuDeviceGetName");
  bind(driver.device_attribute, "cuDeviceGetAttribute");
  bind(driver.context_retain, "cuDevicePrimaryCtxRetain");
  bind(driver.context_set, "cuCtxSetCurrent");
  bind(driver.context_current, "cuCtxGetCurrent");
  bind(driver.context_release, "cuDevicePrimaryCtxRelease_v2");
  bind(driver.memory_info, "cuMemGetInfo_v2");
  bind(driver.memory_allocate, "cuMemAlloc_v2");
  bind(driver.memory_free, "cuMemFree_v2");
  bind(driver.host_allocate, "cuMemHostAlloc");
  bind(driver.host_free, "cuMemFreeHost");
  bind(driver.copy_to_device, "cuMemcpyHtoDAsync_v2");
  bind(driver.copy_to_host, "cuMemcpyDtoHAsync_v2");
  bind(driver.copy_on_device, "cuMemcpyDtoDAsync_v2");
  bind(driver.set_bytes, "cuMemsetD8Async");
  bind(driver.stream_create, "cuStreamCreate");
  bind(driver.stream_destroy, "cuStreamDestroy_v2");
  bind(driver.stream_synchronize, "cuStreamSynchronize");
  bind(driver.module_load, "cuModuleLoadData");
  bind(driver.module_unload, "cuModuleUnload");
  bind(driver.module_function, "cuModuleGetFunction");
  bind(driver.launch, "cuLaunchKernel");
  bind(driver.capture_begin, "cuStreamBeginCapture_v2");
  bind(driver.capture_end, "cuStreamEndCapture");
  bind(driver.graph_instantiate, "cuGraphInstantiateWithFlags");
  bind(driver.graph_launch, "cuGraphLaunch");
  bind(driver.graph_destroy, "cuGraphDestroy");
  bind(driver.graph_instance_destroy, "cuGraphExecDestroy");
  bind(driver.text_get, "cuGetErrorString");
}

}  // namespace gsic
