// A model as a JavaScript object.
#ifndef GSIC_ADDON_MODEL_OBJECT_H
#define GSIC_ADDON_MODEL_OBJECT_H

#include <memory>

#include "handles.h"
#include "napi_cpp.h"

namespace gsic_addon {

class ModelObject : public Napi::ObjectWrap<ModelObject> {
 public:
  static Napi::Function define(Napi::Env env);
  /// Only by `open`.
  explicit ModelObject(const Napi::CallbackInfo &info);

 private:
  /// Model.open(path: string, threads: number, target: string | null, verify: boolean): Promise<Model>
  static Napi::Value open(const Napi::CallbackInfo &info);
  /// describe(): { name, family, target, modes, vocabulary, context, threads, hasTokenizer, endOfText,
  /// hidden }
  Napi::Value describe(const Napi::CallbackInfo &info);
  /// encode(text: string, special: boolean, literal: Int32Array): { done: Promise<Int32Array>, stop() }; `literal` are
  /// offsets of bytes of the text as UTF-8, as in gsic_encoding
  Napi::Value encode(const Napi::CallbackInfo &info);
  /// specialTexts(): string[]
  Napi::Value special_texts(const Napi::CallbackInfo &info);
  /// tokenBytes(ids: Int32Array): Uint8Array: the bytes of all of them
  Napi::Value token_bytes(const Napi::CallbackInfo &info);
  /// openSession(mode: string | null): Promise<Session>
  Napi::Value open_session(const Napi::CallbackInfo &info);
  /// openBatch(mode: string | null, cacheBytes: number, onEvent): Promise<Batch>
  Napi::Value open_batch(const Napi::CallbackInfo &info);
  /// dispose(): also disposes of its sessions and batches; memory is freed when work that is under way ends
  void dispose(const Napi::CallbackInfo &info);

  /// Throws Failure after `dispose`.
  const std::shared_ptr<ModelHandle> &model() const;

  std::shared_ptr<ModelHandle> model_;
};

}  // namespace gsic_addon

#endif
