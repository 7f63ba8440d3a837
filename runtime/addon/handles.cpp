#include "handles.h"

#include <algorithm>

#include "batch_runner.h"
#include "failure.h"
#include "token_ids.h"

namespace gsic_addon {

namespace {

/// Adds one to those of a model, and forgets those that are gone.
template <typename Handle>
void remember(std::vector<std::weak_ptr<Handle>> &all, const std::shared_ptr<Handle> &one, bool disposed) {
  if (disposed) throw Failure(kDisposed, "the model was disposed of while it opened a session or a batch");
  all.erase(std::remove_if(all.begin(), all.end(), [](const auto &other) { return other.expired(); }), all.end());
  all.push_back(one);
}

}  // namespace

ModelHandle::ModelHandle(gsic_model *model) : model_(model) { check(gsic_describe(get(), &info_)); }

void ModelHandle::adopt(const std::shared_ptr<SessionHandle> &session) { remember(sessions_, session, disposed_); }

void ModelHandle::adopt(const std::shared_ptr<BatchRunner> &batch) { remember(batches_, batch, disposed_); }

void ModelHandle::dispose() {
  disposed_ = true;
  for (const auto &one : sessions_)
    if (const auto session = one.lock()) session->dispose();
  sessions_.clear();
  for (const auto &one : batches_)
    if (const auto batch = one.lock()) batch->dispose();
  batches_.clear();
}

Run::~Run() { session_->end(); }

void Run::stop(const char *code) {
  const std::lock_guard<std::mutex> lock(mutex_);
  stopped_ = code;
  changed_.notify_all();
}

void Run::throw_if_stopped() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopped_ == kDisposed) throw Failure(kDisposed, "the session, or its model, was disposed of during the run");
  if (stopped_ != nullptr) throw Failure(stopped_, "the run was stopped");
}

bool Run::wait_for_reader(size_t window) {
  std::unique_lock<std::mutex> lock(mutex_);
  unread_++;
  changed_.wait(lock, [&] { return stopped_ != nullptr || unread_ < window; });
  return stopped_ == nullptr;
}

void Run::taken() {
  const std::lock_guard<std::mutex> lock(mutex_);
  unread_--;
  changed_.notify_all();
}

std::shared_ptr<Run> SessionHandle::begin() {
  idle();
  const auto run = std::make_shared<Run>(shared_from_this());
  run_ = run;
  busy_ = true;
  return run;
}

gsic_session *SessionHandle::idle() const {
  if (disposed_) throw Failure(kDisposed, "the session, or its model, was disposed of; open another");
  if (busy_) throw Failure(GSIC_BUSY, "another call on this session is still running; wait for it, or open one more");
  return session_;
}

void SessionHandle::dispose() {
  disposed_ = true;
  if (const auto run = run_.lock()) run->stop(kDisposed);
  if (!busy_) close();
}

void SessionHandle::end() {
  busy_ = false;
  if (disposed_) close();
}

void SessionHandle::close() {
  gsic_session_close(session_);
  session_ = nullptr;
  model_.reset();
}

void SessionHandle::check_ids(const std::vector<int32_t> &ids) const {
  gsic::require_room(ids.size(), gsic_session_length(session_), model_->info().context);
  gsic::require_ids(ids.data(), ids.size(), model_->info().vocabulary);
}

void append(Run &run, size_t count, const std::function<void(size_t first, size_t count)> &append_chunk) {
  gsic_session *session = run.session().get();
  const size_t before = gsic_session_length(session);
  try {
    for (size_t done = 0; done < count; done += gsic::kStopInterval) {
      run.throw_if_stopped();
      append_chunk(done, std::min(gsic::kStopInterval, count - done));
    }
  } catch (...) {
    gsic_session_rewind(session, before);
    throw;
  }
}

void append(Run &run, const int32_t *ids, size_t count, float *logits, size_t wanted) {
  const size_t vocabulary = run.session().model().info().vocabulary;
  append(run, count, [&](size_t first, size_t chunk) {
    const size_t rest = count - first - chunk, rows = wanted > rest ? std::min(wanted - rest, chunk) : 0;
    check(gsic_evaluate(run.session().get(), ids + first, chunk, rows > 0 ? logits : nullptr, rows));
    if (logits != nullptr) logits += rows * vocabulary;
  });
}

}  // namespace gsic_addon
