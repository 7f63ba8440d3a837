#include "batch_runner.h"

#include <utility>

namespace gsic_addon {
namespace {

/// Tokens that a request may be ahead of its reader.
constexpr size_t kWindow = 16;
/// How long the thread waits for readers before it looks again, in milliseconds.
constexpr uint32_t kWait = 1000;

const char *name_of(gsic_end end) {
  switch (end) {
    case GSIC_END_LIMIT:
      return "limit";
    case GSIC_END_OF_TEXT:
      return "text";
    case GSIC_END_CONTEXT:
      return "context";
    case GSIC_END_CANCELLED:
      return "cancelled";
    default:
      return "failed";
  }
}

}  // namespace

void BatchRunner::start(Napi::Env env, Napi::Function on_event) {
  auto *self = new std::shared_ptr<BatchRunner>(shared_from_this());
  const auto finalize = [](Napi::Env, std::shared_ptr<BatchRunner> *owner, BatchRunner *runner) {
    runner->dispose();
    if (runner->thread_.joinable()) runner->thread_.join();
    runner->close();
    delete owner;
  };
  channel_ = Channel::New(env, on_event, "gsic batch", 0, 1, this, finalize, self);
  channel_.Unref(env);
  try {
    thread_ = std::thread([this] { work(); });
  } catch (...) {
    channel_.Release();
    throw;
  }
}

void BatchRunner::close() {
  readers_.clear();
  gsic_batch_close(std::exchange(batch_, nullptr));
  model_.reset();
}

void BatchRunner::require_open() const {
  if (disposed_) throw Failure(kDisposed, "the batch, or its model, was disposed of; open another");
}

uint64_t BatchRunner::submit(Napi::Env env, const BatchRequest &asked) {
  require_open();
  gsic_request request = {};
  request.prompt = asked.ids.data();
  request.prompt_count = asked.ids.size();
  request.limit = asked.limit;
  request.sampling = asked.sampling.options();
  request.stop_ids = asked.stop.data();
  request.stop_count = asked.stop.size();
  request.window = kWindow;
  request.log_probabilities = asked.log_probabilities;
  request.alternatives = asked.alternatives;
  request.score_prompt = asked.score_prompt;
  request.constrained = asked.constrained;
  request.callback = [](const gsic_event *event, void *user) {
    static_cast<BatchRunner *>(user)->post(*event);
    return 0;
  };
  request.user = this;
  uint64_t ticket = 0;
  {
    // The thread does not see the request's end before its ticket is known.
    const std::lock_guard<std::mutex> lock(mutex_);
    check(gsic_batch_submit(batch_, &request, &ticket));
    running_.insert(ticket);
    changed_.notify_all();
  }
  readers_[ticket] = {asked.log_probabilities};
  keep_alive(env);
  return ticket;
}

void BatchRunner::cancel(Napi::Env env, uint64_t ticket) {
  const auto found = readers_.find(ticket);
  if (found == readers_.end()) return;
  if (found->second.unread >= kWindow) waiting_--;
  found->second.unread = 0;
  keep_alive(env);
  check(gsic_batch_cancel(batch_, ticket));
}

void BatchRunner::taken(Napi::Env env, uint64_t ticket) {
  const auto found = readers_.find(ticket);
  if (found == readers_.end() || found->second.unread == 0) return;
  if (found->second.unread-- == kWindow) waiting_--;
  keep_alive(env);
  check(gsic_batch_taken(batch_, ticket, 1));
}

void BatchRunner::allow(uint64_t ticket, size_t generated, const std::vector<uint32_t> &masks,
                        const std::vector<int32_t> &ahead) {
  require_open();
  const size_t words = (model_->info().vocabulary + 31) / 32;
  if (masks.size() != (ahead.size() + 1) * words)
    throw Failure(GSIC_INVALID_ARGUMENT, "masks must have " + std::to_string(words) +
                                             " numbers, a bit for each token; and as many for each token of ahead");
  const gsic_allowed allowed = {generated, masks.data(), ahead.data(), ahead.size()};
  check(gsic_batch_allow(batch_, ticket, &allowed));
}

gsic_batch_counts BatchRunner::counts() const {
  require_open();
  gsic_batch_counts counts = {};
  check(gsic_batch_count(batch_, &counts));
  return counts;
}

void BatchRunner::between_passes(const std::function<void(gsic_batch *)> &use) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return !in_use_; });
  if (stopping_) throw Failure(kDisposed, "the batch, or its model, was disposed of; open another");
  in_use_ = true;
  changed_.wait(lock, [this] { return !in_pass_; });
  lock.unlock();
  const auto end = [&] {
    lock.lock();
    in_use_ = false;
    changed_.notify_all();
  };
  try {
    use(batch_);
  } catch (...) {
    end();
    throw;
  }
  end();
}

void BatchRunner::dispose() {
  disposed_ = true;
  const std::lock_guard<std::mutex> lock(mutex_);
  stopping_ = true;
  for (const uint64_t ticket : running_) gsic_batch_cancel(batch_, ticket);
  changed_.notify_all();
}

void BatchRunner::deliver(Napi::Env env, Napi::Function on_event, BatchRunner *runner, Event *event) {
  const std::unique_ptr<Event> owned(event);
  if (env == nullptr) return;
  const auto found = runner->readers_.find(event->ticket);
  const bool known = found != runner->readers_.end();
  if (event->end == GSIC_END_NONE) {
    if (known && !event->told.of_prompt && ++found->second.unread == kWindow) runner->waiting_++;
    runner->keep_alive(env);
    return runner->deliver_token(env, on_event, *event);
  }
  if (known && found->second.hears && event->told.ends) runner->deliver_token(env, on_event, *event);
  if (known) {
    if (found->second.unread >= kWindow) runner->waiting_--;
    runner->readers_.erase(found);
  }
  const Napi::Number ticket = Napi::Number::New(env, double(event->ticket));
  runner->keep_alive(env);
  const bool disposed = runner->disposed_ && event->end == GSIC_END_CANCELLED;
  const bool failed = event->end == GSIC_END_FAILED || disposed;
  const char *code = disposed ? kDisposed : gsic_addon::name_of(event->status);
  const std::string text = disposed ? "the batch, or its model, was disposed of during the request" : event->text;
  on_event.Call({ticket, Napi::String::New(env, failed ? "failed" : name_of(event->end)),
                 failed ? Napi::Value(Napi::String::New(env, code)) : env.Null(),
                 failed ? Napi::Value(Napi::String::New(env, text)) : env.Null(),
                 Napi::Number::New(env, double(event->proposed)), Napi::Number::New(env, double(event->accepted))});
}

void BatchRunner::deliver_token(Napi::Env env, Napi::Function on_event, const Event &event) {
  const auto found = readers_.find(event.ticket);
  const bool hears = found != readers_.end() && found->second.hears;
  on_event.Call({Napi::Number::New(env, double(event.ticket)), Napi::Number::New(env, event.id),
                 Napi::String::New(env, event.text), hears ? Napi::Value(event.told.to_object(env)) : env.Null(),
                 Napi::Boolean::New(env, event.asks)});
}

void BatchRunner::keep_alive(Napi::Env env) {
  const bool wanted = readers_.size() > waiting_;
  if (wanted == keeps_alive_) return;
  keeps_alive_ = wanted;
  wanted ? channel_.Ref(env) : channel_.Unref(env);
}

void BatchRunner::work() {
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return !in_use_ && (stopping_ || !running_.empty()); });
      if (running_.empty()) break;
      in_pass_ = true;
    }
    gsic_batch_run(batch_, kWait);  // where it fails, every request was told
    const std::lock_guard<std::mutex> lock(mutex_);
    in_pass_ = false;
    changed_.notify_all();
  }
  if (open_) channel_.Release();
}

void BatchRunner::post(const gsic_event &event) {
  if (event.end != GSIC_END_NONE) {
    const std::lock_guard<std::mutex> lock(mutex_);
    running_.erase(event.ticket);
  }
  if (!open_) return;
  auto *sent = new Event{event.ticket,
                         event.end,
                         event.status,
                         event.id,
                         std::string(event.text, event.text_bytes),
                         event.proposed_tokens,
                         event.accepted_tokens,
                         {},
                         event.asks != 0};
  sent->told.log_probability = event.log_probability;
  sent->told.of_prompt = event.of_prompt != 0;
  sent->told.ends = event.end == GSIC_END_OF_TEXT;
  sent->told.alternatives.assign(event.alternatives, event.alternatives + event.alternative_count);
  if (channel_.NonBlockingCall(sent) == napi_ok) return;
  open_ = false;
  delete sent;
}

}  // namespace gsic_addon
