// Arguments that JavaScript gave, checked. Each function throws a Failure (GSIC_INVALID_ARGUMENT) that names `what`.
#ifndef GSIC_ADDON_ARGUMENTS_H
#define GSIC_ADDON_ARGUMENTS_H

#include <cstdint>
#include <string>
#include <vector>

#include "gsic.h"
#include "napi_cpp.h"

namespace gsic_addon {

/// Integers up to this are numbers that JavaScript holds exactly.
constexpr uint64_t kMostExact = (uint64_t(1) << 53) - 1;

/// A copy of an Int32Array: JavaScript may change or detach its own while a thread works.
std::vector<int32_t> ids_of(const Napi::Value &value);
/// An integer from 0 to `most`.
uint64_t whole_number(const Napi::Value &value, const char *what, uint64_t most);
double number(const Napi::Value &value, const char *what);
bool boolean(const Napi::Value &value, const char *what);
/// A bigint from 0 to 2^64 - 1.
uint64_t whole_bigint(const Napi::Value &value, const char *what);
/// Text as UTF-8; may contain NUL.
std::string text_of(const Napi::Value &value, const char *what);
/// Text without NUL, as C takes it; empty for null.
std::string name_of(const Napi::Value &value, const char *what);

}  // namespace gsic_addon

#endif
