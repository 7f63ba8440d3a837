// Errors inside the runtime: exceptions that carry a status. They never cross the C ABI (see api.cpp).
#ifndef GSIC_SRC_ERROR_H
#define GSIC_SRC_ERROR_H

#include <stdexcept>
#include <string>

#include "gsic.h"

namespace gsic {

/// A failure with the status that the C ABI reports. The message says what, where, and what to do next.
class Error : public std::runtime_error {
 public:
  Error(gsic_status status, const std::string &message) : std::runtime_error(message), status_(status) {}
  gsic_status status() const { return status_; }

 private:
  gsic_status status_;
};

/// The text of the current `errno`.
std::string system_error_text();

/// `value` as 0x... with 16 digits.
std::string hexadecimal(uint64_t value);

/// The entries, separated by ", "; "none" if there are none.
template <typename List> std::string comma_separated(const List &entries) {
  std::string text;
  for (const auto &entry : entries) text += (text.empty() ? "" : ", ") + std::string(entry);
  return text.empty() ? "none" : text;
}

}  // namespace gsic

#endif
