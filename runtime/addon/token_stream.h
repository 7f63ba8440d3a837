// The thread of a generation, and the way of its tokens to JavaScript.
#ifndef GSIC_ADDON_TOKEN_STREAM_H
#define GSIC_ADDON_TOKEN_STREAM_H

#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "failure.h"
#include "generation.h"
#include "napi_cpp.h"

namespace gsic_addon {

/// Used on JavaScript's thread, but for what says else. It lives until its thread has ended.
class TokenStream : public std::enable_shared_from_this<TokenStream> {
 public:
  TokenStream(Napi::Env env, std::shared_ptr<Run> run, Request request)
      : deferred_(env), run_(std::move(run)), request_(std::move(request)) {}

  /// Starts the thread. Throws Failure.
  void start(Napi::Env env, Napi::Function on_token);
  Napi::Promise done() const { return deferred_.Promise(); }
  void taken(Napi::Env env);
  void stop(Napi::Env env);
  /// The reader is gone: nobody waits for the end.
  void abandon();

 private:
  struct Event {
    bool end;
    int32_t id;
    std::string text;
  };
  static void deliver(Napi::Env env, Napi::Function on_token, TokenStream *stream, Event *event);
  using Channel = Napi::TypedThreadSafeFunction<TokenStream, Event, deliver>;

  void settle(Napi::Env env);
  void keep_alive(Napi::Env env, bool wanted);
  /// On the stream's thread.
  void work();
  void generate();
  bool post(Event event);

  Napi::Promise::Deferred deferred_;
  std::shared_ptr<Run> run_;  ///< null once it has ended
  Request request_;
  std::optional<Failure> failure_;
  Channel channel_;
  std::thread thread_;
  size_t unread_ = 0;        ///< tokens that were delivered, and not yet taken
  bool keeps_alive_ = true;  ///< whether the channel holds the event loop
  bool open_ = true;         ///< on the stream's thread: false once the event loop has closed the channel
};

}  // namespace gsic_addon

#endif
