// What every function of the C ABI does: no exception leaves it, `guard` turns each into a status and a message.
#ifndef GSIC_SRC_API_GUARD_H
#define GSIC_SRC_API_GUARD_H

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <system_error>

#include "error.h"
#include "gsic.h"
#include "model.h"

struct gsic_model {
  std::shared_ptr<const gsic::Model> model;
};

namespace gsic {

/// The message of the calling thread's last failure.
std::string &last_error();

/// Keeps the message for the calling thread; returns `status`.
gsic_status report(gsic_status status, const char *message) noexcept;

/// Throws GSIC_INVALID_ARGUMENT with `what` unless `condition` holds.
void require(bool condition, const char *what);

/// Runs `body`, which returns a status; exceptions become statuses.
template <typename Body> gsic_status guard(Body body) noexcept {
  try {
    return body();
  } catch (const Error &error) {
    return report(error.status(), error.what());
  } catch (const std::bad_alloc &) {
    return report(GSIC_OUT_OF_MEMORY, "out of memory: close other programs, or use a smaller model");
  } catch (const std::system_error &error) {
    return report(GSIC_OUT_OF_MEMORY,
                  (std::string("threads cannot be started: ") + error.what() + "; ask for fewer threads").c_str());
  } catch (const std::exception &error) {
    return report(GSIC_INTERNAL, error.what());
  } catch (...) {
    return report(GSIC_INTERNAL, "an unknown exception");
  }
}

}  // namespace gsic

#endif
