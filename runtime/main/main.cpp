// The native executable of a build: text in, text out.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "client.h"
#include "options.h"

namespace gsic {
namespace {

using Clock = std::chrono::steady_clock;

/// Exit codes, as those of the `gsic` command.
enum Exit { kDone = 0, kDefect = 1, kUsage = 2, kBadBundle = 3, kEnvironment = 4 };

volatile std::sig_atomic_t interrupted = 0;

/// The first Ctrl-C ends the generation, a second one the program.
void watch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = int(SA_RESETHAND | SA_RESTART);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

/// What was generated could not be written.
struct OutputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A call of the C interface failed.
struct Failure : std::runtime_error {
  explicit Failure(gsic_status failed) : std::runtime_error(gsic_last_error()), status(failed) {}
  gsic_status status;
};

void check(gsic_status status) {
  if (status != GSIC_OK) throw Failure(status);
}

int exit_code(gsic_status status) {
  switch (status) {
    case GSIC_OK:
      return kDone;
    case GSIC_BAD_BUNDLE:
    case GSIC_IO:
      return kBadBundle;
    case GSIC_NO_DEVICE:
    case GSIC_OUT_OF_MEMORY:
    case GSIC_DEVICE_LOST:
      return kEnvironment;
    case GSIC_INVALID_ARGUMENT:
    case GSIC_CONTEXT_FULL:
    case GSIC_NO_TOKENIZER:
      return kUsage;
    case GSIC_BUSY:
    case GSIC_CANCELLED:
    case GSIC_INTERNAL:
      break;
  }
  return kDefect;
}

/// What a run gives: the --json document is made of it.
struct Result {
  std::vector<int32_t> prompt, ids;
  std::string text;
  Clock::time_point start, first, last;
  int output_error = 0;  ///< errno of the write that failed
  bool pipe_open = true, stream = false, spell_ids = false;
};

/// The bundle that belongs to this executable: `<name>.gsi` beside it.
std::string bundle_beside_executable() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) throw UsageError("this program cannot find itself (" + error.message() + "); give --bundle FILE");
  return self.string() + ".gsi";
}

std::string read_standard_input() {
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

std::vector<int32_t> encode_prompt(const gsic_model *model, const std::string &text) {
  std::vector<int32_t> ids;
  gsic_encoding encoding = {};
  encoding.parse_special = 1;
  check(encode(model, text, encoding, ids));
  if (ids.empty()) throw UsageError("the prompt is empty; give at least one character");
  return ids;
}

void require_ids(const std::vector<int32_t> &ids, uint32_t vocabulary) {
  for (const int32_t id : ids)
    if (uint32_t(id) >= vocabulary)
      throw UsageError("--ids: there is no token of id " + std::to_string(id) + "; ids of this model go from 0 to " +
                       std::to_string(vocabulary - 1));
}

/// The text of ids, or the ids themselves where the bundle has no tokenizer.
std::string spell(const gsic_model *model, const std::vector<int32_t> &ids, bool as_ids) {
  std::string text;
  for (const int32_t id : ids) {
    const char *bytes = nullptr;
    size_t length = 0;
    if (as_ids) {
      text += std::to_string(id) + " ";
    } else {
      check(gsic_token_bytes(model, id, &bytes, &length));
      text.append(bytes, length);
    }
  }
  return text;
}

/// Writes to standard output at once; notes where nobody reads it any more.
void show(Result &result, const std::string &text) {
  if (!result.stream || text.empty()) return;
  if (!result.pipe_open) return;
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return;
  result.pipe_open = false;
  result.output_error = errno;
}

int on_token(int32_t id, const char *text, size_t bytes, void *user) {
  Result &result = *static_cast<Result *>(user);
  result.last = Clock::now();
  if (result.ids.empty()) result.first = result.last;
  result.ids.push_back(id);
  const std::string piece = result.spell_ids ? std::to_string(id) + " " : std::string(text, bytes);
  result.text.append(text, bytes);
  show(result, piece);
  return interrupted != 0 || !result.pipe_open;
}

/// Evaluates the prompt in chunks, so that Ctrl-C is heard, and generates from its last token.
void generate(gsic_session *session, const Options &options, Result &result) {
  result.start = result.first = result.last = Clock::now();
  const size_t before_last = result.prompt.size() - 1;
  for (size_t done = 0; done < before_last && interrupted == 0; done += kStopInterval) {
    const size_t count = std::min(kStopInterval, before_last - done);
    check(gsic_evaluate(session, result.prompt.data() + done, count, nullptr, 0));
  }
  if (interrupted != 0) return;
  const gsic_status status = gsic_generate(session, &result.prompt[before_last], 1, options.tokens, &options.sampling,
                                           on_token, &result, nullptr, nullptr);
  if (status != GSIC_CANCELLED) check(status);
}

/// A reader of standard output that left is no error; text that was lost for another reason is.
void require_closed_pipe(int error) {
  if (error == 0 || error == EPIPE) return;
  throw OutputError(std::string("standard output cannot be written: ") + std::strerror(error));
}

/// Where a standard stream is closed, the next file that is opened takes its number: text would go into that file, or
/// that file's bytes would be read as text. Throws OutputError if it is standard output.
void require_standard_streams() {
  if (fcntl(STDOUT_FILENO, F_GETFD) < 0) throw OutputError("standard output is closed: there is no place for the text");
  for (const int stream : {STDIN_FILENO, STDERR_FILENO})
    if (fcntl(stream, F_GETFD) < 0) open("/dev/null", stream == STDIN_FILENO ? O_RDONLY : O_WRONLY);
}

/// Throws OutputError if not all of `text` was written.
void print(const std::string &text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    require_closed_pipe(errno);
}

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

void print_json(const gsic_session *session, const gsic_model_info &info, const Options &options,
                const Result &result) {
  nlohmann::ordered_json document;
  const std::string modes = info.modes;
  const double decoding = seconds(result.last - result.first);
  uint64_t closed = 0, open = 0;
  check(gsic_gate_counts(session, &closed, &open));
  document["model"] = info.name;
  document["mode"] = options.mode.empty() ? modes.substr(0, modes.find(',')) : options.mode;
  document["target"] = info.target;
  document["threads"] = info.threads;
  document["prompt_ids"] = result.prompt;
  document["ids"] = result.ids;
  document["text"] = result.text;
  document["tokens_per_second"] =
      decoding > 0 ? nlohmann::ordered_json(double(result.ids.size() - 1) / decoding) : nullptr;
  document["seconds_to_first_token"] =
      result.ids.empty() ? nullptr : nlohmann::ordered_json(seconds(result.first - result.start));
  document["gates"] = {{"closed", closed}, {"open", open}};
  gsic_draft_counts drafts = {};
  check(gsic_drafts(session, &drafts));
  document["drafts"] = {{"passes", drafts.passes},
                        {"proposed", drafts.proposed},
                        {"accepted", drafts.accepted},
                        {"looked_up", drafts.looked_up}};
  print(document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

int run(const Options &options) {
  const std::string path = options.bundle.empty() ? bundle_beside_executable() : options.bundle;
  std::optional<std::string> text = options.prompt;
  if (text == "-") text = read_standard_input();
  watch_interrupts();

  gsic_open_options open = {};
  open.threads = options.threads;
  gsic_model *opened = nullptr;
  check(gsic_open(path.c_str(), &open, &opened));
  const OwnedModel model(opened);
  gsic_model_info info = {};
  check(gsic_describe(opened, &info));
  gsic_session *started = nullptr;
  check(gsic_session_open(opened, options.mode.empty() ? nullptr : options.mode.c_str(), &started));
  const OwnedSession session(started);

  Result result;
  result.stream = !options.json;
  result.spell_ids = info.has_tokenizer == 0;
  result.prompt = text ? encode_prompt(opened, *text) : *options.ids;
  require_ids(result.prompt, info.vocabulary);
  if (result.prompt.size() > info.context)
    throw UsageError("the prompt has " + std::to_string(result.prompt.size()) + " tokens, and the model's context " +
                     std::to_string(info.context) + "; shorten it");
  show(result, text ? *text : spell(opened, result.prompt, result.spell_ids));
  generate(started, options, result);
  show(result, "\n");
  require_closed_pipe(result.output_error);
  if (options.json) print_json(started, info, options, result);
  return kDone;
}

}  // namespace
}  // namespace gsic

int main(int count, char **arguments) {
  const std::string program = std::filesystem::path(count > 0 ? arguments[0] : "gsic").filename().string();
  const auto complain = [&](const std::string &what) { std::cerr << program << ": " << what << std::endl; };
  try {
    gsic::require_standard_streams();
    std::signal(SIGPIPE, SIG_IGN);  // a reader that left is noticed where text is written, that of --help too
    const gsic::Options options = gsic::parse_options(count, arguments);
    if (options.help) {
      gsic::print(gsic::usage(program));
      return gsic::kDone;
    }
    return gsic::run(options);
  } catch (const gsic::UsageError &error) {
    complain(error.what());
    return gsic::kUsage;
  } catch (const gsic::OutputError &error) {
    complain(error.what());
    return gsic::kEnvironment;
  } catch (const gsic::Failure &failure) {
    complain(failure.what());
    return gsic::exit_code(failure.status);
  } catch (const std::exception &error) {
    complain(std::string("a defect of gsic: ") + error.what());
    return gsic::kDefect;
  }
}
