#include "arguments.h"

#include <cmath>

#include "failure.h"

namespace gsic_addon {
namespace {

void require(bool condition, const char *what, const char *expected) {
  if (!condition) throw Failure(GSIC_INVALID_ARGUMENT, std::string(what) + " must be " + expected);
}

}  // namespace

std::vector<int32_t> ids_of(const Napi::Value &value) {
  require(value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_int32_array, "ids",
          "an Int32Array");
  const auto array = value.As<Napi::Int32Array>();
  require(!array.ArrayBuffer().IsDetached(), "ids", "an Int32Array whose buffer is not detached");
  const int32_t *data = array.Data();
  return data == nullptr ? std::vector<int32_t>() : std::vector<int32_t>(data, data + array.ElementLength());
}

uint64_t whole_number(const Napi::Value &value, const char *what, uint64_t most) {
  const double given = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  const bool whole = given >= 0 && given <= double(most) && std::floor(given) == given;
  require(whole, what, ("an integer from 0 to " + std::to_string(most)).c_str());
  return uint64_t(given);
}

double number(const Napi::Value &value, const char *what) {
  require(value.IsNumber(), what, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

bool boolean(const Napi::Value &value, const char *what) {
  require(value.IsBoolean(), what, "true or false");
  return value.As<Napi::Boolean>().Value();
}

uint64_t whole_bigint(const Napi::Value &value, const char *what) {
  bool lossless = false;
  const uint64_t given = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  require(lossless, what, "an integer from 0 to 2^64 - 1");
  return given;
}

std::string text_of(const Napi::Value &value, const char *what) {
  require(value.IsString(), what, "a string");
  return value.As<Napi::String>().Utf8Value();
}

std::string name_of(const Napi::Value &value, const char *what) {
  if (value.IsNull()) return "";
  const std::string text = text_of(value, what);
  require(text.find('\0') == std::string::npos, what, "a string without NUL characters");
  return text;
}

}  // namespace gsic_addon
