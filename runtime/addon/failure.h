// Failures of the C interface on their way to JavaScript: exceptions inside the addon, Errors with a `code` outside.
#ifndef GSIC_ADDON_FAILURE_H
#define GSIC_ADDON_FAILURE_H

#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "error.h"
#include "gsic.h"
#include "napi_cpp.h"

namespace gsic_addon {

/// The `code` of an error about a model or session that was disposed of; every other code is a gsic_status.
inline constexpr const char *kDisposed = "GSIC_DISPOSED";

/// The name of a status, as gsic.h spells it.
const char *name_of(gsic_status status);

/// What a JavaScript Error is made of.
class Failure : public std::runtime_error {
 public:
  Failure(const char *code, const std::string &message) : std::runtime_error(message), code_(code) {}
  Failure(gsic_status status, const std::string &message) : Failure(name_of(status), message) {}
  const char *code() const { return code_; }

 private:
  const char *code_;
};

/// Throws a Failure with the calling thread's last message unless `status` is GSIC_OK.
void check(gsic_status status);

/// The JavaScript Error of a failure.
Napi::Error to_error(Napi::Env env, const Failure &failure);

/// Runs `body`; any C++ exception but Napi::Error becomes a Failure.
template <typename Body> auto as_failure(Body &&body) -> decltype(body()) {
  try {
    return body();
  } catch (const Failure &) {
    throw;
  } catch (const gsic::Error &error) {
    throw Failure(error.status(), error.what());
  } catch (const std::bad_alloc &) {
    throw Failure(GSIC_OUT_OF_MEMORY, "out of memory: close other programs, or use a smaller model");
  } catch (const std::system_error &error) {
    throw Failure(GSIC_OUT_OF_MEMORY, std::string("a thread cannot be started: ") + error.what());
  }
}

/// Runs the body of a method that JavaScript called: failures are thrown as JavaScript Errors.
template <typename Body> auto guard(Napi::Env env, Body &&body) -> decltype(body()) {
  try {
    return as_failure(body);
  } catch (const Failure &failure) {
    throw to_error(env, failure);
  }
}

}  // namespace gsic_addon

#endif
