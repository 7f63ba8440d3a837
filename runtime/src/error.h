// Errors inside the runtime: exceptions that carry a status. They never cross the C ABI (see api.cpp).
#ifndef GSIC_SRC_ERROR_H
#define GSIC_SRC_ERROR_H

#include <stdexcept>
#include <string>

#include "gsic.h"

namespace gsic {

/// A failure with the status that the C ABI reports: what happened, where, and what to do next. `what()` is all of it
/// in one line, "where: message; hint".
class Error : public std::runtime_error {
 public:
  Error(gsic_status status, const std::string &message, const std::string &hint = {})
      : Error({}, status, message, hint) {}

  /// `where` is a file, and maybe a byte of it.
  static Error at(const std::string &where, gsic_status status, const std::string &message,
                  const std::string &hint = {}) {
    return Error(where, status, message, hint);
  }

  gsic_status status() const { return status_; }
  const std::string &message() const { return message_; }
  /// Empty where no place is known.
  const std::string &where() const { return where_; }
  /// Empty where there is nothing special to do.
  const std::string &hint() const { return hint_; }

 private:
  Error(const std::string &where, gsic_status status, const std::string &message, const std::string &hint)
      : std::runtime_error((where.empty() ? "" : where + ": ") + message + (hint.empty() ? "" : "; " + hint)),
        status_(status),
        message_(message),
        where_(where),
        hint_(hint) {}

  gsic_status status_;
  std::string message_, where_, hint_;
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
