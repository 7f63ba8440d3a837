// gsic-tool: what the compiler does with a bundle in native code. Results go to files or standard output, progress
// and errors to standard error. Exit codes as the native executable's.
#include <csignal>
#include <cstdio>
#include <map>

#include "arguments.h"
#include "error.h"

namespace {

using Subcommand = void (*)(const gsic::Arguments &);

const std::map<std::string, Subcommand> kSubcommands = {
    {"logits", gsic::run_logits}, {"evaluate", gsic::run_evaluate}, {"calibrate", gsic::run_calibrate},
    {"sample", gsic::run_sample}, {"bench", gsic::run_bench},       {"linalg", gsic::run_linalg},
};

int exit_code(gsic_status status) {
  if (status == GSIC_INTERNAL) return 1;
  if (status == GSIC_BAD_BUNDLE || status == GSIC_IO) return 3;
  const bool environment = status == GSIC_NO_DEVICE || status == GSIC_OUT_OF_MEMORY || status == GSIC_DEVICE_LOST;
  return environment ? 4 : 2;
}

int fail(int code, const std::string &what) {
  std::fprintf(stderr, "gsic-tool: %s\n", what.c_str());
  return code;
}

}  // namespace

int main(int count, char **arguments) {
  std::signal(SIGPIPE, SIG_IGN);
  const auto found = count > 1 ? kSubcommands.find(arguments[1]) : kSubcommands.end();
  if (found == kSubcommands.end())
    return fail(2, "give one of: logits, evaluate, calibrate, sample, bench, linalg");
  try {
    found->second(gsic::Arguments({arguments + 2, arguments + count}));
    return 0;
  } catch (const gsic::Error &error) {
    return fail(exit_code(error.status()), error.what());
  } catch (const std::bad_alloc &) {
    return fail(4, "out of memory");
  } catch (const std::exception &error) {
    return fail(1, std::string("a defect of gsic: ") + error.what());
  }
}
