#include "settings.h"

#include <cstdlib>

namespace gsic_mock {
namespace {

std::string text(const char *name) {
  const char *value = std::getenv(name);
  return value != nullptr ? value : "";
}

uint64_t number(const char *name, uint64_t otherwise) {
  const std::string value = text(name);
  return value.empty() ? otherwise : std::strtoull(value.c_str(), nullptr, 10);
}

Settings read() {
  Settings found;
  found.kernels = text("GSIC_MOCK_KERNELS");
  found.account = text("GSIC_MOCK_ACCOUNT");
  found.architecture = text("GSIC_MOCK_ARCHITECTURE");
  found.code_object = number("GSIC_MOCK_CODE_OBJECT", found.code_object);
  found.devices = number("GSIC_MOCK_DEVICES", found.devices);
  found.units = number("GSIC_MOCK_UNITS", found.units);
  found.memory = number("GSIC_MOCK_MEMORY", found.memory);
  found.fail_allocation = number("GSIC_MOCK_FAIL_ALLOCATION", 0);
  found.lose_after = number("GSIC_MOCK_LOSE_AFTER", 0);
  found.capture = number("GSIC_MOCK_CAPTURE", 1) != 0;
  return found;
}

}  // namespace

const Settings &settings() {
  // Never destroyed: the account is written when the program ends.
  static const Settings *const found = new Settings(read());
  return *found;
}

}  // namespace gsic_mock
