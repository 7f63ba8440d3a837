// A running generation as a JavaScript object: { done: Promise<void>, taken(), stop() }.
//
// Tokens come from a thread of their own through a thread-safe function. The thread waits when the reader is kWindow
// tokens behind; while it waits, it does not keep the process alive. When JavaScript drops the object, it stops.
#ifndef GSIC_ADDON_GENERATION_H
#define GSIC_ADDON_GENERATION_H

#include <memory>
#include <vector>

#include "handles.h"
#include "napi_cpp.h"
#include "sampling.h"

namespace gsic_addon {

/// What to generate from, and how much.
struct Request {
  std::vector<int32_t> ids;
  size_t limit;
  Sampling sampling;
};

class TokenStream;

class Generation : public Napi::ObjectWrap<Generation> {
 public:
  static Napi::Function define(Napi::Env env);
  /// Starts `run`; `on_token` is called with (id, text). Throws Failure.
  static Napi::Object start(Napi::Env env, std::shared_ptr<Run> run, Request request, Napi::Function on_token);

  /// Only by `start`.
  explicit Generation(const Napi::CallbackInfo &info);
  ~Generation() override;

 private:
  /// taken(): the reader took one token.
  void taken(const Napi::CallbackInfo &info);
  /// stop(): ends the generation soon; `done` resolves then. Does nothing if it has ended.
  void stop(const Napi::CallbackInfo &info);

  std::shared_ptr<TokenStream> stream_;
};

}  // namespace gsic_addon

#endif
