// gsic-tool machine: what the runtime finds on this machine, as JSON on standard output:
// {"cpu": {"features": [names], "mask": GSIC_CPU or null},
//  "gpus": [{"device": "hip" | "cuda", "name", "units"} or {"device", "problem", "hint"}]}.
// gsic-tool cpu: the first of these alone, without a look at drivers.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "device.h"
#include "error.h"

namespace gsic {
namespace {

nlohmann::ordered_json describe(DeviceKind kind) {
  nlohmann::ordered_json found = {{"device", kDeviceNames[static_cast<size_t>(kind)]}};
  try {
    const std::unique_ptr<Device> device = open_gpu(kind);
    found["name"] = device->name();
    found["units"] = device->threads();
  } catch (const Error &error) {
    found["problem"] = error.message();
    if (!error.hint().empty()) found["hint"] = error.hint();
  }
  return found;
}

nlohmann::ordered_json describe_cpu() {
  nlohmann::ordered_json cpu = {{"features", cpu_features()}, {"mask", nullptr}};
  if (const std::string mask = cpu_mask(); !mask.empty()) cpu["mask"] = mask;
  return cpu;
}

}  // namespace

void run_cpu(const Arguments &) { std::printf("%s\n", describe_cpu().dump().c_str()); }

void run_machine(const Arguments &) {
  const nlohmann::ordered_json machine = {
      {"cpu", describe_cpu()},
      {"gpus", {describe(DeviceKind::hip), describe(DeviceKind::cuda)}},
  };
  std::printf("%s\n", machine.dump().c_str());
}

}  // namespace gsic
