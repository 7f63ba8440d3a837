// What one Node environment (the main thread, or a worker) has of the addon: its classes. Nothing belongs to the
// process.
#ifndef GSIC_ADDON_ADDON_H
#define GSIC_ADDON_ADDON_H

#include <memory>

#include "failure.h"
#include "napi_cpp.h"

namespace gsic_addon {

struct Addon {
  Napi::FunctionReference model, session, generation, batch;
};

/// A new object of one of the addon's classes around `content`.
template <typename Content>
Napi::Object wrap(Napi::Env env, Napi::FunctionReference Addon::*type, std::shared_ptr<Content> &content) {
  return (env.GetInstanceData<Addon>()->*type).New({Napi::External<std::shared_ptr<Content>>::New(env, &content)});
}

/// What `wrap` gave to the constructor. Throws a JavaScript Error if somebody else called it.
template <typename Content> std::shared_ptr<Content> unwrap(const Napi::CallbackInfo &info) {
  return guard(info.Env(), [&] {
    if (!info[0].IsExternal()) throw Failure(GSIC_INVALID_ARGUMENT, "this class has no constructor; use Model.open");
    return *info[0].As<Napi::External<std::shared_ptr<Content>>>().Data();
  });
}

}  // namespace gsic_addon

#endif
