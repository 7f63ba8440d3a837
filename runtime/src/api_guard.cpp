#include "api_guard.h"

namespace gsic {

std::string &last_error() {
  thread_local std::string message = "no error";
  return message;
}

gsic_status report(gsic_status status, const char *message) noexcept {
  try {
    last_error() = message;
  } catch (...) {
    last_error().clear();
  }
  return status;
}

void require(bool condition, const char *what) {
  if (!condition) throw Error(GSIC_INVALID_ARGUMENT, what);
}

}  // namespace gsic
