// The command line of the native executable.
#ifndef GSIC_MAIN_OPTIONS_H
#define GSIC_MAIN_OPTIONS_H

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "gsic.h"

namespace gsic {

/// The command line is wrong; the message says where and what to do.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Options {
  std::string bundle;                       ///< empty: beside the executable
  std::optional<std::string> prompt;        ///< "-": from standard input
  std::optional<std::vector<int32_t>> ids;  ///< the prompt as token ids
  std::string mode;                         ///< empty: the bundle's default
  size_t tokens = 128;
  uint32_t threads = 0;
  gsic_sampling sampling = {};
  bool json = false;
  bool help = false;
};

/// Throws UsageError.
Options parse_options(int count, char **arguments);

/// What --help prints; `program` is the name that it was called by.
std::string usage(const std::string &program);

}  // namespace gsic

#endif
