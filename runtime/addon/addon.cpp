// The entry of the addon: { Model }. What its methods take and give is declared in compiler/load.ts.
#include "addon.h"

#include "batch_object.h"
#include "generation.h"
#include "model_object.h"
#include "session_object.h"

namespace gsic_addon {
namespace {

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto *addon = new Addon;
  addon->model = Napi::Persistent(ModelObject::define(env));
  addon->session = Napi::Persistent(SessionObject::define(env));
  addon->generation = Napi::Persistent(Generation::define(env));
  addon->batch = Napi::Persistent(BatchObject::define(env));
  env.SetInstanceData(addon);
  exports.Set("Model", addon->model.Value());
  return exports;
}

NODE_API_MODULE(gsic, initialize)

}  // namespace
}  // namespace gsic_addon
