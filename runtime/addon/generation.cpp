#include "generation.h"

#include "addon.h"
#include "token_stream.h"

namespace gsic_addon {

Napi::Function Generation::define(Napi::Env env) {
  return DefineClass(env, "Generation",
                     {InstanceMethod<&Generation::taken>("taken"), InstanceMethod<&Generation::stop>("stop")});
}

Napi::Object Generation::start(Napi::Env env, std::shared_ptr<Run> run, Request request, Napi::Function on_token) {
  auto stream = std::make_shared<TokenStream>(env, std::move(run), std::move(request));
  const Napi::Object object = wrap(env, &Addon::generation, stream);
  object.Set("done", stream->done());
  stream->start(env, on_token);
  return object;
}

Generation::Generation(const Napi::CallbackInfo &info)
    : Napi::ObjectWrap<Generation>(info), stream_(unwrap<TokenStream>(info)) {}

Generation::~Generation() {
  if (stream_ != nullptr) stream_->abandon();
}

void Generation::taken(const Napi::CallbackInfo &info) {
  guard(info.Env(), [&] { stream_->taken(info.Env()); });
}

void Generation::stop(const Napi::CallbackInfo &info) { stream_->stop(info.Env()); }

}  // namespace gsic_addon
