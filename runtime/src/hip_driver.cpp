// AMD's driver: names, and numbers of hip_runtime_api.h (ROCm 5.0 and later).
#include "driver.h"

namespace gsic {

Driver hip_driver() {
  Driver driver{};
  driver.kind = DeviceKind::hip;
  driver.title = "AMD's driver (HIP)";
  driver.libraries = {"libamdhip64.so", "libamdhip64.so.7", "libamdhip64.so.6"};
  driver.hint = "install ROCm, or name its libamdhip64.so in the environment variable GSIC_DRIVER";
  driver.attribute_units = 63;
  driver.attribute_wave = 87;
  return driver;
}

void bind_hip(Driver &driver, SymbolBinder &bind) {
  bind(driver.initialize, "hipInit");
  bind(driver.device_count, "hipGetDeviceCount");
  bind(driver.device_get, "hipDeviceGet");
  bind(driver.device_name, "hipDeviceGetName");
  bind(driver.device_attribute, "hipDeviceGetAttribute");
  bind(driver.device_set, "hipSetDevice");
  bind(driver.device_current, "hipGetDevice");
  bind(driver.memory_info, "hipMemGetInfo");
  bind(driver.memory_allocate, "hipMalloc");
  bind(driver.memory_free, "hipFree");
  bind(driver.host_allocate, "hipHostMalloc");
  bind(driver.host_free, "hipHostFree");
  bind(driver.copy_to_device, "hipMemcpyHtoDAsync");
  bind(driver.copy_to_host, "hipMemcpyDtoHAsync");
  bind(driver.copy_on_device, "hipMemcpyDtoDAsync");
  bind(driver.set_bytes, "hipMemsetD8Async");
  bind(driver.stream_create, "hipStreamCreateWithFlags");
  bind(driver.stream_destroy, "hipStreamDestroy");
  bind(driver.stream_synchronize, "hipStreamSynchronize");
  bind(driver.module_load, "hipModuleLoadData");
  bind(driver.module_unload, "hipModuleUnload");
  bind(driver.module_function, "hipModuleGetFunction");
  bind(driver.launch, "hipModuleLaunchKernel");
  bind(driver.capture_begin, "hipStreamBeginCapture");
  bind(driver.capture_end, "hipStreamEndCapture");
  bind(driver.graph_instantiate, "hipGraphInstantiateWithFlags");
  bind(driver.graph_launch, "hipGraphLaunch");
  bind(driver.graph_destroy, "hipGraphDestroy");
  bind(driver.graph_instance_destroy, "hipGraphExecDestroy");
  bind(driver.last_error, "hipGetLastError");
  bind(driver.text_of, "hipGetErrorString");
}

}  // namespace gsic
