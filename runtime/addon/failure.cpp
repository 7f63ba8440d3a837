#include "failure.h"

namespace gsic_addon {

const char *name_of(gsic_status status) {
  switch (status) {
    case GSIC_OK:
      return "GSIC_OK";
    case GSIC_INVALID_ARGUMENT:
      return "GSIC_INVALID_ARGUMENT";
    case GSIC_BAD_BUNDLE:
      return "GSIC_BAD_BUNDLE";
    case GSIC_NO_DEVICE:
      return "GSIC_NO_DEVICE";
    case GSIC_OUT_OF_MEMORY:
      return "GSIC_OUT_OF_MEMORY";
    case GSIC_CONTEXT_FULL:
      return "GSIC_CONTEXT_FULL";
    case GSIC_BUSY:
      return "GSIC_BUSY";
    case GSIC_CANCELLED:
      return "GSIC_CANCELLED";
    case GSIC_NO_TOKENIZER:
      return "GSIC_NO_TOKENIZER";
    case GSIC_IO:
      return "GSIC_IO";
    case GSIC_DEVICE_LOST:
      return "GSIC_DEVICE_LOST";
    case GSIC_INTERNAL:
      break;
  }
  return "GSIC_INTERNAL";
}

void check(gsic_status status) {
  if (status != GSIC_OK) throw Failure(status, gsic_last_error());
}

Napi::Error to_error(Napi::Env env, const Failure &failure) {
  Napi::Error error = Napi::Error::New(env, failure.what());
  error.Set("code", Napi::String::New(env, failure.code()));
  return error;
}

}  // namespace gsic_addon
