#include "model_object.h"

#include <algorithm>
#include <atomic>

#include "addon.h"
#include "arguments.h"
#include "batch_runner.h"
#include "client.h"
#include "task.h"

namespace gsic_addon {
namespace {

constexpr uint64_t kMostThreads = 1024;

/// A text on its way to ids, on another thread.
struct EncodeJob {
  std::string text;
  bool special;
  std::vector<size_t> literal;
  std::atomic<bool> stopped{false};
};

std::vector<int32_t> encode_text(const gsic_model *model, EncodeJob &job) {
  gsic_encoding encoding = {};
  encoding.parse_special = job.special;
  encoding.literal = job.literal.data();
  encoding.literal_count = job.literal.size();
  encoding.stop = [](void *user) { return int(static_cast<EncodeJob *>(user)->stopped.load()); };
  encoding.user = &job;
  std::vector<int32_t> ids;
  check(gsic::encode(model, job.text, encoding, ids));
  return ids;
}

Napi::Array split(Napi::Env env, const std::string &list) {
  const Napi::Array parts = Napi::Array::New(env);
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    parts.Set(parts.Length(), list.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace

Napi::Function ModelObject::define(Napi::Env env) {
  return DefineClass(
      env, "Model",
      {StaticMethod<&ModelObject::open>("open"), InstanceMethod<&ModelObject::describe>("describe"),
       InstanceMethod<&ModelObject::encode>("encode"), InstanceMethod<&ModelObject::special_texts>("specialTexts"),
       InstanceMethod<&ModelObject::token_bytes>("tokenBytes"),
       InstanceMethod<&ModelObject::open_session>("openSession"), InstanceMethod<&ModelObject::open_batch>("openBatch"),
       InstanceMethod<&ModelObject::dispose>("dispose")});
}

ModelObject::ModelObject(const Napi::CallbackInfo &info)
    : Napi::ObjectWrap<ModelObject>(info), model_(unwrap<ModelHandle>(info)) {}

Napi::Value ModelObject::open(const Napi::CallbackInfo &info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const std::string path = name_of(info[0], "path"), target = name_of(info[2], "target");
    const auto threads = uint32_t(whole_number(info[1], "threads", kMostThreads));
    const bool verify = boolean(info[3], "verify");
    const auto work = [=] {
      gsic_open_options options = {};
      options.threads = threads;
      options.target = target.empty() ? nullptr : target.c_str();
      options.skip_verification = !verify;
      gsic_model *model = nullptr;
      check(gsic_open(path.c_str(), &options, &model));
      return std::make_shared<ModelHandle>(model);
    };
    return Task<std::shared_ptr<ModelHandle>>::start(
        info.Env(), work, [](Napi::Env env, std::shared_ptr<ModelHandle> model) -> Napi::Value {
          return wrap(env, &Addon::model, model);
        });
  });
}

Napi::Value ModelObject::describe(const Napi::CallbackInfo &info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const gsic_model_info &facts = model()->info();
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("name", facts.name);
    object.Set("family", facts.family);
    object.Set("target", facts.target);
    object.Set("modes", split(info.Env(), facts.modes));
    object.Set("vocabulary", facts.vocabulary);
    object.Set("context", facts.context);
    object.Set("threads", facts.threads);
    object.Set("hasTokenizer", Napi::Boolean::New(info.Env(), facts.has_tokenizer != 0));
    object.Set("endOfText", facts.end_of_text);
    object.Set("hidden", facts.hidden);
    return object;
  });
}

Napi::Value ModelObject::encode(const Napi::CallbackInfo &info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const auto job = std::make_shared<EncodeJob>();
    job->text = text_of(info[0], "text");
    job->special = boolean(info[1], "special");
    for (const int32_t offset : ids_of(info[2])) job->literal.push_back(size_t(offset));
    const auto work = [job, model = model()] { return encode_text(model->get(), *job); };
    const Napi::Object object = Napi::Object::New(info.Env());
    object.Set("done", Task<std::vector<int32_t>>::start(
                           info.Env(), work, [](Napi::Env env, const std::vector<int32_t> &ids) -> Napi::Value {
                             Napi::Int32Array array = Napi::Int32Array::New(env, ids.size());
                             std::copy(ids.begin(), ids.end(), array.Data());
                             return array;
                           }));
    const auto stop = [job](const Napi::CallbackInfo &) { job->stopped = true; };
    object.Set("stop", Napi::Function::New(info.Env(), stop));
    return object;
  });
}

Napi::Value ModelObject::special_texts(const Napi::CallbackInfo &info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const size_t count = gsic_special_count(model()->get());
    const Napi::Array texts = Napi::Array::New(info.Env(), count);
    for (size_t i = 0; i < count; i++) {
      const char *text = nullptr;
      size_t length = 0;
      check(gsic_special_text(model()->get(), i, &text, &length));
      texts.Set(uint32_t(i), Napi::String::New(info.Env(), text, length));
    }
    return texts;
  });
}

Napi::Value ModelObject::token_bytes(const Napi::CallbackInfo &info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    std::string all;
    for (const int32_t id : ids_of(info[0])) {
      const char *bytes = nullptr;
      size_t length = 0;
      check(gsic_token_bytes(model()->get(), id, &bytes, &length));
      all.append(bytes, length);
    }
    Napi::Uint8Array array = Napi::Uint8Array::New(info.Env(), all.size());
    std::copy(all.begin(), all.end(), array.Data());
    return array;
  });
}

Napi::Value ModelObject::open_session(const Napi::CallbackInfo &info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const std::string mode = name_of(info[0], "mode");
    const auto work = [mode, model = model()] {
      gsic_session *session = nullptr;
      check(gsic_session_open(model->get(), mode.empty() ? nullptr : mode.c_str(), &session));
      return std::make_shared<SessionHandle>(model, session);
    };
    return Task<std::shared_ptr<SessionHandle>>::start(
        info.Env(), work, [model = model()](Napi::Env env, std::shared_ptr<SessionHandle> session) -> Napi::Value {
          model->adopt(session);
          return wrap(env, &Addon::session, session);
        });
  });
}

Napi::Value ModelObject::open_batch(const Napi::CallbackInfo &info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const std::string mode = name_of(info[0], "mode");
    const uint64_t bytes = whole_number(info[1], "cacheBytes", kMostExact);
    if (!info[2].IsFunction()) throw Failure(GSIC_INVALID_ARGUMENT, "onEvent must be a function");
    const auto on_event = std::make_shared<Napi::FunctionReference>(Napi::Persistent(info[2].As<Napi::Function>()));
    const auto work = [mode, bytes, model = model()] {
      const gsic_batch_options options = {mode.empty() ? nullptr : mode.c_str(), bytes};
      gsic_batch *batch = nullptr;
      check(gsic_batch_open(model->get(), &options, &batch));
      return std::make_shared<BatchRunner>(model, batch);
    };
    return Task<std::shared_ptr<BatchRunner>>::start(
        info.Env(), work,
        [model = model(), on_event](Napi::Env env, std::shared_ptr<BatchRunner> batch) -> Napi::Value {
          model->adopt(batch);
          batch->start(env, on_event->Value());
          return wrap(env, &Addon::batch, batch);
        });
  });
}

void ModelObject::dispose(const Napi::CallbackInfo &) {
  if (model_ != nullptr) model_->dispose();
  model_.reset();
}

const std::shared_ptr<ModelHandle> &ModelObject::model() const {
  if (model_ == nullptr) throw Failure(kDisposed, "the model was disposed of; load it again");
  return model_;
}

}  // namespace gsic_addon
