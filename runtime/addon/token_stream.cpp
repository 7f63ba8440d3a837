#include "token_stream.h"

#include <utility>

namespace gsic_addon {
namespace {

/// Tokens that the thread may be ahead of the reader.
constexpr size_t kWindow = 16;

}  // namespace

void TokenStream::start(Napi::Env env, Napi::Function on_token) {
  auto *self = new std::shared_ptr<TokenStream>(shared_from_this());
  const auto finalize = [](Napi::Env, std::shared_ptr<TokenStream> *owner, TokenStream *stream) {
    stream->abandon();
    if (stream->thread_.joinable()) stream->thread_.join();
    stream->run_.reset();
    delete owner;
  };
  channel_ = Channel::New(env, on_token, "gsic", 0, 1, this, finalize, self);
  try {
    thread_ = std::thread([this] { work(); });
  } catch (...) {
    channel_.Release();
    throw;
  }
}

void TokenStream::taken(Napi::Env env) {
  if (unread_ == 0) throw Failure(GSIC_INVALID_ARGUMENT, "taken() was called more often than there were tokens");
  unread_--;
  if (run_ == nullptr) return;
  keep_alive(env, true);
  run_->taken();
}

void TokenStream::stop(Napi::Env env) {
  if (run_ == nullptr) return;
  keep_alive(env, true);
  run_->stop(name_of(GSIC_CANCELLED));
}

void TokenStream::abandon() {
  if (run_ != nullptr) run_->stop(name_of(GSIC_CANCELLED));
}

void TokenStream::deliver(Napi::Env env, Napi::Function on_token, TokenStream *stream, Event *event) {
  const std::unique_ptr<Event> owned(event);
  if (env == nullptr) return;
  if (event->end) return stream->settle(env);
  if (++stream->unread_ == kWindow) stream->keep_alive(env, false);
  on_token.Call({Napi::Number::New(env, event->id), Napi::String::New(env, event->text)});
}

void TokenStream::settle(Napi::Env env) {
  run_.reset();
  if (failure_)
    deferred_.Reject(to_error(env, *failure_).Value());
  else
    deferred_.Resolve(env.Undefined());
}

void TokenStream::keep_alive(Napi::Env env, bool wanted) {
  if (wanted == keeps_alive_) return;
  keeps_alive_ = wanted;
  wanted ? channel_.Ref(env) : channel_.Unref(env);
}

void TokenStream::work() {
  try {
    as_failure([&] { generate(); });
  } catch (const Failure &failure) {
    if (failure.code() != std::string(name_of(GSIC_CANCELLED))) failure_ = failure;
  }
  post({true, 0, ""});
  if (open_) channel_.Release();
}

void TokenStream::generate() {
  gsic_session *session = run_->session().get();
  const size_t before = gsic_session_length(session), last = request_.ids.size() - 1;
  append(*run_, request_.ids.data(), last, nullptr, 0);
  const auto on_token = [](int32_t id, const char *text, size_t bytes, void *user) {
    auto &stream = *static_cast<TokenStream *>(user);
    return int(!stream.post({false, id, std::string(text, bytes)}) || !stream.run_->wait_for_reader(kWindow));
  };
  const gsic_sampling sampling = request_.sampling.options();
  const gsic_status status =
      gsic_generate(session, &request_.ids[last], 1, request_.limit, &sampling, on_token, this, nullptr, nullptr);
  if (status == GSIC_CANCELLED) run_->throw_if_stopped();
  if (status == GSIC_OK || status == GSIC_CANCELLED) return;
  const Failure failure(status, gsic_last_error());
  gsic_session_rewind(session, before);
  throw failure;
}

bool TokenStream::post(Event event) {
  if (!open_) return false;
  auto *sent = new Event(std::move(event));
  if (channel_.NonBlockingCall(sent) == napi_ok) return true;
  open_ = false;
  delete sent;
  return false;
}

}  // namespace gsic_addon
