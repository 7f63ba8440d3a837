// Who owns the runtime's handles. Wrappers, tasks and runs share them; a handle is closed when its last owner lets go,
// so work that has begun never loses what it works on. Used on JavaScript's thread except where a function says else.
#ifndef GSIC_ADDON_HANDLES_H
#define GSIC_ADDON_HANDLES_H

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client.h"
#include "gsic.h"

namespace gsic_addon {

class BatchRunner;
class SessionHandle;

/// An open model.
class ModelHandle {
 public:
  /// Takes the model over. Throws Failure.
  explicit ModelHandle(gsic_model *model);

  gsic_model *get() const { return model_.get(); }
  const gsic_model_info &info() const { return info_; }
  /// Remembers a session, to dispose of it together with the model. Throws Failure if that has happened.
  void adopt(const std::shared_ptr<SessionHandle> &session);
  void adopt(const std::shared_ptr<BatchRunner> &batch);
  void dispose();

 private:
  gsic::OwnedModel model_;
  gsic_model_info info_ = {};
  bool disposed_ = false;
  std::vector<std::weak_ptr<SessionHandle>> sessions_;
  std::vector<std::weak_ptr<BatchRunner>> batches_;
};

/// One use of a session by another thread. Whoever holds it holds the session; JavaScript's thread lets go last.
class Run {
 public:
  explicit Run(std::shared_ptr<SessionHandle> session) : session_(std::move(session)) {}
  ~Run();
  Run(const Run &) = delete;
  Run &operator=(const Run &) = delete;

  /// Asks the thread to end soon; `code` says why: GSIC_CANCELLED or GSIC_DISPOSED. Any thread.
  void stop(const char *code);
  /// Throws a Failure with that code if the run was asked to end. Any thread.
  void throw_if_stopped();
  /// Counts a token that was sent to the reader; waits while the reader is `window` tokens behind. False: end soon.
  bool wait_for_reader(size_t window);
  /// Counts a token that the reader took. Any thread.
  void taken();
  SessionHandle &session() const { return *session_; }

 private:
  std::shared_ptr<SessionHandle> session_;
  std::mutex mutex_;
  std::condition_variable changed_;
  const char *stopped_ = nullptr;
  size_t unread_ = 0;
};

/// An open session; it keeps its model.
class SessionHandle : public std::enable_shared_from_this<SessionHandle> {
 public:
  /// Takes the session over.
  SessionHandle(std::shared_ptr<ModelHandle> model, gsic_session *session)
      : model_(std::move(model)), session_(session) {}
  ~SessionHandle() { close(); }
  SessionHandle(const SessionHandle &) = delete;
  SessionHandle &operator=(const SessionHandle &) = delete;

  /// Begins a run. Throws Failure: GSIC_BUSY, GSIC_DISPOSED.
  std::shared_ptr<Run> begin();
  /// The session, for a short call. Throws as `begin`.
  gsic_session *idle() const;
  /// Ends the run, if there is one, and closes the session after it.
  void dispose();
  bool disposed() const { return disposed_; }

  /// The session of a run. Any thread, as long as the run lasts.
  gsic_session *get() const { return session_; }
  const ModelHandle &model() const { return *model_; }
  /// Throws gsic::Error unless all ids are of the vocabulary, and fit into what is left of the context.
  void check_ids(const std::vector<int32_t> &ids) const;

 private:
  friend class Run;
  void end();
  void close();

  std::shared_ptr<ModelHandle> model_;
  gsic_session *session_;
  std::weak_ptr<Run> run_;
  bool busy_ = false, disposed_ = false;
};

/// Appends `count` tokens in chunks, so that a stop is heard: `append_chunk` appends those from `first` on. Throws
/// Failure; the session is then as it was. The run's thread.
void append(Run &run, size_t count, const std::function<void(size_t first, size_t count)> &append_chunk);

/// Appends the first `count` ids in chunks, so that a stop is heard. `logits`, if not null, receives [wanted,
/// vocabulary] for the last of them. Throws Failure; the session is then as it was. The run's thread.
void append(Run &run, const int32_t *ids, size_t count, float *logits, size_t wanted);

}  // namespace gsic_addon

#endif
