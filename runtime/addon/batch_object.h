// A batch as a JavaScript object.
#ifndef GSIC_ADDON_BATCH_OBJECT_H
#define GSIC_ADDON_BATCH_OBJECT_H

#include <memory>

#include "batch_runner.h"
#include "napi_cpp.h"

namespace gsic_addon {

class BatchObject : public Napi::ObjectWrap<BatchObject> {
 public:
  static Napi::Function define(Napi::Env env);
  /// Only by Model.openBatch.
  explicit BatchObject(const Napi::CallbackInfo &info);
  ~BatchObject() override;

 private:
  /// submit(ids: Int32Array, stop: Int32Array, limit: number, sampling: object (Sampling), told: { logProbabilities:
  /// boolean, alternatives: number, scorePrompt: boolean }, constrained: boolean): number, the ticket
  Napi::Value submit(const Napi::CallbackInfo &info);
  /// cancel(ticket: number): does nothing if the request has ended
  void cancel(const Napi::CallbackInfo &info);
  /// allow(ticket: number, generated: number, masks: Int32Array, ahead: Int32Array): as gsic_allowed
  void allow(const Napi::CallbackInfo &info);
  /// taken(ticket: number): the reader took one token
  void taken(const Napi::CallbackInfo &info);
  /// counts(): the fields of gsic_batch_counts, in camel case
  Napi::Value counts(const Napi::CallbackInfo &info);
  /// saveCache(path: string): Promise<number>, of how many tokens; as gsic_batch_save_cache
  Napi::Value save_cache(const Napi::CallbackInfo &info);
  /// loadCache(path: string): Promise<number>
  Napi::Value load_cache(const Napi::CallbackInfo &info);
  /// dispose(): ends all requests; memory is freed when the pass that runs has ended
  void dispose(const Napi::CallbackInfo &info);

  using UseFile = gsic_status (*)(gsic_batch *, const char *, uint64_t *);
  /// Calls one of the two on another thread, while no pass runs.
  Napi::Value use_file(const Napi::CallbackInfo &info, UseFile use);

  std::shared_ptr<BatchRunner> runner_;
};

}  // namespace gsic_addon

#endif
