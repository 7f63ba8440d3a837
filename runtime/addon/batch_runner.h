// The thread that runs a batch, and the way of its events to JavaScript.
#ifndef GSIC_ADDON_BATCH_RUNNER_H
#define GSIC_ADDON_BATCH_RUNNER_H

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "failure.h"
#include "handles.h"
#include "napi_cpp.h"
#include "sampling.h"

namespace gsic_addon {

/// What a request of a batch asks for.
struct BatchRequest {
  std::vector<int32_t> ids, stop;
  size_t limit;
  Sampling sampling;
  bool log_probabilities;
  uint32_t alternatives;
  bool score_prompt, constrained;
};

/// Used on JavaScript's thread, but for what says else. It lives until its thread has ended. Events of a request stop
/// while JavaScript has not taken the last kWindow of them; while all do, it does not keep the process alive.
class BatchRunner : public std::enable_shared_from_this<BatchRunner> {
 public:
  /// Takes the batch over.
  BatchRunner(std::shared_ptr<ModelHandle> model, gsic_batch *batch) : model_(std::move(model)), batch_(batch) {}
  ~BatchRunner() { gsic_batch_close(batch_); }
  BatchRunner(const BatchRunner &) = delete;
  BatchRunner &operator=(const BatchRunner &) = delete;

  /// Starts the thread. `on_event` is called with (ticket, id, text, told, asks) of a token, Told where it is asked for
  /// or else null; and at the end with (ticket, end, code, message, proposed, accepted): code and message of a failure,
  /// or null.
  void start(Napi::Env env, Napi::Function on_event);
  /// The ticket. Throws Failure.
  uint64_t submit(Napi::Env env, const BatchRequest &request);
  /// Nothing happens if the request has ended.
  void cancel(Napi::Env env, uint64_t ticket);
  void taken(Napi::Env env, uint64_t ticket);
  /// As gsic_allowed; `masks` must have one for `ahead` and each of its tokens. Throws Failure.
  void allow(uint64_t ticket, size_t generated, const std::vector<uint32_t> &masks, const std::vector<int32_t> &ahead);
  /// Throws Failure.
  gsic_batch_counts counts() const;
  /// Throws Failure where it was disposed of.
  void require_open() const;
  /// Calls `use` while no pass runs. Any thread, which holds this. Throws Failure, and what `use` throws.
  void between_passes(const std::function<void(gsic_batch *)> &use);
  /// Ends all requests, then the thread.
  void dispose();

 private:
  struct Event {
    uint64_t ticket;
    gsic_end end;
    gsic_status status;
    int32_t id;
    std::string text;
    uint64_t proposed, accepted;
    Told told;
    bool asks;
  };
  /// Of a request.
  struct Reader {
    bool hears;         ///< how likely tokens are
    size_t unread = 0;  ///< tokens that were delivered, and not yet taken
  };
  static void deliver(Napi::Env env, Napi::Function on_event, BatchRunner *runner, Event *event);
  using Channel = Napi::TypedThreadSafeFunction<BatchRunner, Event, deliver>;

  /// Lets go of the batch and the model, when the thread has ended: JavaScript may keep its object for longer.
  void close();
  void deliver_token(Napi::Env env, Napi::Function on_event, const Event &event);
  /// Holds the event loop exactly while a request waits for no reader.
  void keep_alive(Napi::Env env);
  /// On the batch's thread.
  void work();
  void post(const gsic_event &event);

  std::shared_ptr<ModelHandle> model_;
  gsic_batch *batch_;
  Channel channel_;
  std::thread thread_;
  std::unordered_map<uint64_t, Reader> readers_;  ///< by request
  size_t waiting_ = 0;                            ///< requests whose reader is kWindow tokens behind
  bool disposed_ = false, keeps_alive_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<uint64_t> running_;  ///< tickets that have not ended
  bool stopping_ = false;
  bool in_pass_ = false, in_use_ = false;
  bool open_ = true;  ///< on the batch's thread: false once the event loop has closed the channel
};

}  // namespace gsic_addon

#endif
