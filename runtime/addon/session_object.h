// A session as a JavaScript object.
#ifndef GSIC_ADDON_SESSION_OBJECT_H
#define GSIC_ADDON_SESSION_OBJECT_H

#include <memory>

#include "handles.h"
#include "napi_cpp.h"

namespace gsic_addon {

class SessionObject : public Napi::ObjectWrap<SessionObject> {
 public:
  static Napi::Function define(Napi::Env env);
  /// Only by Model.openSession.
  explicit SessionObject(const Napi::CallbackInfo &info);

 private:
  /// evaluate(ids: Int32Array, wanted: number): Promise<Float32Array>: logits [wanted, vocabulary]
  Napi::Value evaluate(const Napi::CallbackInfo &info);
  /// generate(ids: Int32Array, limit: number, sampling: object (Sampling),
  /// onToken: (id: number, text: string) => void): Generation
  Napi::Value generate(const Napi::CallbackInfo &info);
  /// hidden(ids: Int32Array): Promise<Float32Array>: states [ids, hidden]
  Napi::Value hidden(const Napi::CallbackInfo &info);
  /// rewind(length: number)
  void rewind(const Napi::CallbackInfo &info);
  /// length: number
  Napi::Value length(const Napi::CallbackInfo &info);
  /// disposed: boolean, true as well if its model was disposed of
  Napi::Value disposed(const Napi::CallbackInfo &info);
  /// dispose(): stops what runs; memory is freed when it has ended
  void dispose(const Napi::CallbackInfo &info);

  std::shared_ptr<SessionHandle> session_;
};

}  // namespace gsic_addon

#endif
