// Handles of gsic.h that close themselves, and failures as exceptions.
#pragma once

#include <memory>
#include <stdexcept>

#include "gsic.h"

namespace example {

inline void check(gsic_status status) {
  if (status != GSIC_OK) throw std::runtime_error(gsic_last_error());
}

struct Close {
  void operator()(gsic_model *model) const { gsic_close(model); }
  void operator()(gsic_session *session) const { gsic_session_close(session); }
  void operator()(gsic_linears *linears) const { gsic_linears_close(linears); }
};

template <typename Handle> using Owned = std::unique_ptr<Handle, Close>;

inline Owned<gsic_model> open_model(const char *bundle) {
  gsic_model *model = nullptr;
  check(gsic_open(bundle, nullptr, &model));
  return Owned<gsic_model>(model);
}

inline Owned<gsic_session> open_session(gsic_model *model, const char *mode) {
  gsic_session *session = nullptr;
  check(gsic_session_open(model, mode, &session));
  return Owned<gsic_session>(session);
}

inline Owned<gsic_linears> open_linears(gsic_model *model, const char *mode) {
  gsic_linears *linears = nullptr;
  check(gsic_linears_open(model, mode, &linears));
  return Owned<gsic_linears>(linears);
}

}  // namespace example
