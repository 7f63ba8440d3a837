#include "driver.h"

#include <dlfcn.h>

#include <cstdlib>

#include "error.h"

namespace gsic {
namespace {

/// Opens the first library that is loaded already, or else the first that opens. A driver has threads of its own, and
/// is never unloaded again.
void *open_library(const Driver &driver, const std::vector<std::string> &libraries) {
  // Two drivers in one process take the device from each other: what PyTorch brought along is found by its name.
  for (const std::string &library : libraries)
    if (void *handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD)) return handle;
  std::string failures;
  for (const std::string &library : libraries) {
    if (void *handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
    failures += (failures.empty() ? "" : "; ") + std::string(dlerror());
  }
  throw Error(GSIC_NO_DEVICE, std::string(driver.title) + " cannot be opened: " + failures, driver.hint);
}

}  // namespace

void *SymbolBinder::find(const char *name) {
  void *symbol = dlsym(library_, name);
  if (symbol == nullptr) missing_.push_back(name);
  return symbol;
}

std::string Driver::text(int status) const {
  const char *found = nullptr;
  if (text_of != nullptr)
    found = text_of(status);
  else if (text_get.call(status, &found) != 0)
    found = nullptr;
  return std::string(found != nullptr ? found : "unknown error") + " (" + std::to_string(status) + ")";
}

Driver open_driver(DeviceKind kind) {
  Driver driver = kind == DeviceKind::hip ? hip_driver() : cuda_driver();
  const char *chosen = std::getenv("GSIC_DRIVER");
  const bool given = chosen != nullptr && *chosen != '\0';
  SymbolBinder bind(open_library(driver, given ? std::vector<std::string>{chosen} : driver.libraries));
  if (kind == DeviceKind::hip)
    bind_hip(driver, bind);
  else
    bind_cuda(driver, bind);
  if (bind.missing().empty()) return driver;
  throw Error(GSIC_NO_DEVICE,
              std::string(given ? chosen : driver.title) + " lacks " + comma_separated(bind.missing()) +
                  ": it is too old, or another library",
              driver.hint);
}

}  // namespace gsic
