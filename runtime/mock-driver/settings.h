// What the mock driver claims to be, from the environment. Read when it is loaded.
#ifndef GSIC_MOCK_SETTINGS_H
#define GSIC_MOCK_SETTINGS_H

#include <cstdint>
#include <string>

namespace gsic_mock {

struct Settings {
  std::string kernels;           ///< GSIC_MOCK_KERNELS: shared object of host-dialect kernels
  std::string account;           ///< GSIC_MOCK_ACCOUNT: JSON file, written at exit; empty: none
  std::string architecture;      ///< GSIC_MOCK_ARCHITECTURE: gfx942, sm_90; empty: takes every code object
  uint64_t code_object = 5;      ///< GSIC_MOCK_CODE_OBJECT: the newest version of code objects that it takes
  uint64_t devices = 1;          ///< GSIC_MOCK_DEVICES
  uint64_t units = 2;            ///< GSIC_MOCK_UNITS: compute units
  uint64_t memory = 8ull << 30;  ///< GSIC_MOCK_MEMORY: bytes of device memory
  uint64_t fail_allocation = 0;  ///< GSIC_MOCK_FAIL_ALLOCATION: this one fails, counted from 1; 0: none
  uint64_t lose_after = 0;       ///< GSIC_MOCK_LOSE_AFTER: launches until the device is lost; 0: never
  bool capture = true;           ///< GSIC_MOCK_CAPTURE=0: streams cannot be captured
};

const Settings &settings();

}  // namespace gsic_mock

#endif
