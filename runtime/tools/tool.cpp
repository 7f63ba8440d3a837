// gsic-tool: what the compiler does with a bundle in native code. Results go to files or standard output, progress
// and errors to standard error. Exit codes as the native executable's.
#include <csignal>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "error.h"

namespace {

using Subcommand = void (*)(const gsic::Arguments &);

const std::map<std::string, Subcommand> kSubcommands = {
    {"logits", gsic::run_logits},   {"evaluate", gsic::run_evaluate}, {"calibrate", gsic::run_calibrate},
    {"sample", gsic::run_sample},   {"bench", gsic::run_bench},       {"launches", gsic::run_launches},
    {"linalg", gsic::run_linalg},   {"exchange", gsic::run_exchange}, {"inputs", gsic::run_inputs},
    {"machine", gsic::run_machine}, {"step", gsic::run_step},         {"cpu", gsic::run_cpu},
    {"company", gsic::run_company}, {"users", gsic::run_users},       {"calls", gsic::run_calls},
    {"beside", gsic::run_beside},
};

int exit_code(gsic_status status) {
  if (status == GSIC_INTERNAL) return 1;
  if (status == GSIC_BAD_BUNDLE || status == GSIC_IO) return 3;
  const bool environment = status == GSIC_NO_DEVICE || status == GSIC_OUT_OF_MEMORY || status == GSIC_DEVICE_LOST;
  return environment ? 4 : 2;
}

/// What compiler/cc/tool.ts reports an error as.
const char *name(gsic_status status) {
  switch (status) {
    case GSIC_BAD_BUNDLE:
      return "bundle-invalid";
    case GSIC_IO:
      return "file-unreadable";
    case GSIC_NO_DEVICE:
      return "no-device";
    case GSIC_DEVICE_LOST:
      return "device-lost";
    case GSIC_OUT_OF_MEMORY:
      return "out-of-memory";
    case GSIC_CONTEXT_FULL:
      return "context-full";
    case GSIC_NO_TOKENIZER:
      return "tokenizer-missing";
    case GSIC_INVALID_ARGUMENT:
      return "argument-invalid";
    default:
      return "tool-failed";
  }
}

/// The words of the exit codes 1 to 4 in compiler/support/errors.ts.
constexpr const char *kCategories[] = {"", "defect", "usage", "data", "environment"};

/// Prints the error as one line of JSON, which compiler/cc/tool.ts reads; null where a place or a next step is not
/// known.
int fail(int code, const char *error, const std::string &message, const std::string &where = {},
         const std::string &hint = {}) {
  const auto known = [](const std::string &text) { return text.empty() ? nlohmann::json() : nlohmann::json(text); };
  const nlohmann::ordered_json line = {{"error",
                                        {{"code", error},
                                         {"category", kCategories[code]},
                                         {"message", message},
                                         {"where", known(where)},
                                         {"hint", known(hint)}}}};
  const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::fprintf(stderr, "%s\n", text.c_str());
  return code;
}

}  // namespace

int main(int count, char **arguments) {
  std::signal(SIGPIPE, SIG_IGN);
  const auto found = count > 1 ? kSubcommands.find(arguments[1]) : kSubcommands.end();
  if (found == kSubcommands.end())
    return fail(
        2, "argument-invalid", "there is no such command", {},
        "give one of: logits, evaluate, calibrate, inputs, sample, bench, launches, calls, step, linalg, exchange, "
        "machine, cpu, company, users, beside");
  try {
    found->second(gsic::Arguments({arguments + 2, arguments + count}));
    return 0;
  } catch (const gsic::Error &error) {
    return fail(exit_code(error.status()), name(error.status()), error.message(), error.where(), error.hint());
  } catch (const gsic::OutputError &error) {
    return fail(4, "output-unwritable", error.what(), error.where, error.hint);
  } catch (const std::bad_alloc &) {
    return fail(4, "out-of-memory", "out of memory", {}, "close other programs");
  } catch (const std::exception &error) {
    return fail(1, "tool-failed", error.what());
  }
}
