#include "session_object.h"

#include <cstring>

#include "addon.h"
#include "arguments.h"
#include "generation.h"
#include "task.h"

namespace gsic_addon {
namespace {

/// Logits that wait for JavaScript to take them over.
struct Logits {
  std::unique_ptr<float[]> values;
  size_t count;
};

Napi::Value to_array(Napi::Env env, Logits logits) {
  float *values = logits.values.get();
  if (logits.count == 0) return Napi::Float32Array::New(env, 0);
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, values, logits.count * sizeof(float),
                                                    [](Napi::Env, void *data) { delete[] static_cast<float *>(data); });
  logits.values.release();
  return Napi::Float32Array::New(env, logits.count, buffer, 0);
}

}  // namespace

Napi::Function SessionObject::define(Napi::Env env) {
  return DefineClass(
      env, "Session",
      {InstanceMethod<&SessionObject::evaluate>("evaluate"), InstanceMethod<&SessionObject::generate>("generate"),
       InstanceMethod<&SessionObject::hidden>("hidden"), InstanceMethod<&SessionObject::rewind>("rewind"),
       InstanceAccessor<&SessionObject::length>("length"), InstanceAccessor<&SessionObject::disposed>("disposed"),
       InstanceMethod<&SessionObject::dispose>("dispose")});
}

SessionObject::SessionObject(const Napi::CallbackInfo &info)
    : Napi::ObjectWrap<SessionObject>(info), session_(unwrap<SessionHandle>(info)) {}

Napi::Value SessionObject::evaluate(const Napi::CallbackInfo &info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const std::vector<int32_t> ids = ids_of(info[0]);
    const auto wanted = size_t(whole_number(info[1], "wanted", ids.size()));
    session_->idle();
    session_->check_ids(ids);
    const auto work = [ids, wanted, run = session_->begin()]() mutable {
      const size_t count = wanted * run->session().model().info().vocabulary;
      Logits logits{std::unique_ptr<float[]>(new float[count]), count};
      append(*run, ids.data(), ids.size(), logits.values.get(), wanted);
      return logits;
    };
    return Task<Logits>::start(info.Env(), work, to_array);
  });
}

Napi::Value SessionObject::generate(const Napi::CallbackInfo &info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    Request request{ids_of(info[0]), size_t(whole_number(info[1], "limit", UINT32_MAX)), Sampling(info[2])};
    if (!info[3].IsFunction()) throw Failure(GSIC_INVALID_ARGUMENT, "onToken must be a function");
    if (request.ids.empty())
      throw Failure(GSIC_INVALID_ARGUMENT, "the prompt is empty: give at least one token to continue from");
    session_->idle();
    session_->check_ids(request.ids);
    return Generation::start(info.Env(), session_->begin(), std::move(request), info[3].As<Napi::Function>());
  });
}

Napi::Value SessionObject::hidden(const Napi::CallbackInfo &info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const std::vector<int32_t> ids = ids_of(info[0]);
    session_->idle();
    session_->check_ids(ids);
    const auto work = [ids, run = session_->begin()]() mutable {
      const size_t width = run->session().model().info().hidden;
      std::vector<float> states(ids.size() * width);
      append(*run, ids.size(), [&](size_t first, size_t count) {
        check(gsic_hidden(run->session().get(), &ids[first], count, states.data() + first * width));
      });
      return states;
    };
    return Task<std::vector<float>>::start(info.Env(), work,
                                           [](Napi::Env env, const std::vector<float> &states) -> Napi::Value {
                                             Napi::Float32Array array = Napi::Float32Array::New(env, states.size());
                                             std::copy(states.begin(), states.end(), array.Data());
                                             return array;
                                           });
  });
}

void SessionObject::rewind(const Napi::CallbackInfo &info) {
  guard(info.Env(),
        [&] { check(gsic_session_rewind(session_->idle(), size_t(whole_number(info[0], "length", UINT32_MAX)))); });
}

Napi::Value SessionObject::length(const Napi::CallbackInfo &info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    return Napi::Number::New(info.Env(), double(gsic_session_length(session_->idle())));
  });
}

Napi::Value SessionObject::disposed(const Napi::CallbackInfo &info) {
  return Napi::Boolean::New(info.Env(), session_->disposed());
}

void SessionObject::dispose(const Napi::CallbackInfo &) { session_->dispose(); }

}  // namespace gsic_addon
