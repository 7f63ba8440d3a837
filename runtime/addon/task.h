// Work on one of libuv's threads, and the promise that it settles.
#ifndef GSIC_ADDON_TASK_H
#define GSIC_ADDON_TASK_H

#include <functional>
#include <optional>
#include <utility>

#include "failure.h"
#include "napi_cpp.h"

namespace gsic_addon {

/// Runs `work` beside JavaScript, then `finish` in it. Resolves with what that returns, or rejects with a Failure.
/// Models and runs that `work` captures are let go on JavaScript's thread before the promise settles. Deletes itself.
template <typename Result> class Task final : public Napi::AsyncWorker {
 public:
  using Work = std::function<Result()>;
  using Finish = std::function<Napi::Value(Napi::Env, Result)>;

  static Napi::Promise start(Napi::Env env, Work work, Finish finish) {
    auto *task = new Task(env, std::move(work), std::move(finish));
    const Napi::Promise promise = task->deferred_.Promise();
    task->Queue();
    return promise;
  }

 private:
  Task(Napi::Env env, Work work, Finish finish)
      : Napi::AsyncWorker(env, "gsic"), deferred_(env), work_(std::move(work)), finish_(std::move(finish)) {}

  void Execute() override {
    try {
      result_ = as_failure(work_);
    } catch (const Failure &failure) {
      failure_ = failure;
    } catch (const std::exception &error) {
      failure_ = Failure(GSIC_INTERNAL, error.what());
    }
  }

  void OnOK() override {
    work_ = nullptr;
    try {
      if (failure_) throw *failure_;
      deferred_.Resolve(finish_(Env(), std::move(*result_)));
    } catch (const Failure &failure) {
      deferred_.Reject(to_error(Env(), failure).Value());
    }
  }

  Napi::Promise::Deferred deferred_;
  Work work_;
  Finish finish_;
  std::optional<Result> result_;
  std::optional<Failure> failure_;
};

}  // namespace gsic_addon

#endif
