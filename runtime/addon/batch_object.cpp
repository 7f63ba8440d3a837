#include "batch_object.h"

#include "addon.h"
#include "arguments.h"
#include "task.h"

namespace gsic_addon {
Napi::Function BatchObject::define(Napi::Env env) {
  return DefineClass(
      env, "Batch",
      {InstanceMethod<&BatchObject::submit>("submit"), InstanceMethod<&BatchObject::cancel>("cancel"),
       InstanceMethod<&BatchObject::allow>("allow"), InstanceMethod<&BatchObject::taken>("taken"),
       InstanceMethod<&BatchObject::counts>("counts"), InstanceMethod<&BatchObject::save_cache>("saveCache"),
       InstanceMethod<&BatchObject::load_cache>("loadCache"), InstanceMethod<&BatchObject::dispose>("dispose")});
}

BatchObject::BatchObject(const Napi::CallbackInfo &info)
    : Napi::ObjectWrap<BatchObject>(info), runner_(unwrap<BatchRunner>(info)) {}

BatchObject::~BatchObject() {
  if (runner_ != nullptr) runner_->dispose();
}

Napi::Value BatchObject::submit(const Napi::CallbackInfo &info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    if (!info[4].IsObject()) throw Failure(GSIC_INVALID_ARGUMENT, "told must be an object");
    const Napi::Object told = info[4].As<Napi::Object>();
    const BatchRequest request{ids_of(info[0]),
                               ids_of(info[1]),
                               size_t(whole_number(info[2], "limit", UINT32_MAX)),
                               Sampling(info[3]),
                               boolean(told.Get("logProbabilities"), "logProbabilities"),
                               uint32_t(whole_number(told.Get("alternatives"), "alternatives", UINT32_MAX)),
                               boolean(told.Get("scorePrompt"), "scorePrompt"),
                               boolean(info[5], "constrained")};
    return Napi::Number::New(info.Env(), double(runner_->submit(info.Env(), request)));
  });
}

void BatchObject::cancel(const Napi::CallbackInfo &info) {
  guard(info.Env(), [&] { runner_->cancel(info.Env(), whole_number(info[0], "ticket", kMostExact)); });
}

void BatchObject::allow(const Napi::CallbackInfo &info) {
  guard(info.Env(), [&] {
    const std::vector<int32_t> masks = ids_of(info[2]), ahead = ids_of(info[3]);
    runner_->allow(whole_number(info[0], "ticket", kMostExact), size_t(whole_number(info[1], "generated", UINT32_MAX)),
                   {masks.begin(), masks.end()}, ahead);
  });
}

void BatchObject::taken(const Napi::CallbackInfo &info) {
  guard(info.Env(), [&] { runner_->taken(info.Env(), whole_number(info[0], "ticket", kMostExact)); });
}

Napi::Value BatchObject::counts(const Napi::CallbackInfo &info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const gsic_batch_counts counts = runner_->counts();
    Napi::Object object = Napi::Object::New(info.Env());
    const auto set = [&](const char *name, uint64_t value) { object.Set(name, double(value)); };
    set("waiting", counts.waiting);
    set("reading", counts.reading);
    set("writing", counts.writing);
    set("paused", counts.paused);
    set("passes", counts.passes);
    set("columns", counts.columns);
    set("promptTokens", counts.prompt_tokens);
    set("generatedTokens", counts.generated_tokens);
    set("sharedTokens", counts.shared_tokens);
    set("proposedTokens", counts.proposed_tokens);
    set("acceptedTokens", counts.accepted_tokens);
    set("preempted", counts.preempted);
    set("blocks", counts.blocks);
    set("blocksHeld", counts.blocks_held);
    set("blocksKept", counts.blocks_kept);
    set("blocksEvicted", counts.blocks_evicted);
    return object;
  });
}

Napi::Value BatchObject::use_file(const Napi::CallbackInfo &info, UseFile use) {
  return guard(info.Env(), [&]() -> Napi::Value {
    runner_->require_open();
    const auto work = [use, path = name_of(info[0], "path"), runner = runner_] {
      uint64_t tokens = 0;
      runner->between_passes([&](gsic_batch *batch) { check(use(batch, path.c_str(), &tokens)); });
      return tokens;
    };
    return Task<uint64_t>::start(info.Env(), work, [](Napi::Env env, uint64_t tokens) -> Napi::Value {
      return Napi::Number::New(env, double(tokens));
    });
  });
}

Napi::Value BatchObject::save_cache(const Napi::CallbackInfo &info) { return use_file(info, gsic_batch_save_cache); }

Napi::Value BatchObject::load_cache(const Napi::CallbackInfo &info) { return use_file(info, gsic_batch_load_cache); }

void BatchObject::dispose(const Napi::CallbackInfo &) { runner_->dispose(); }

}  // namespace gsic_addon
