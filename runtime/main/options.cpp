#include "options.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>

namespace gsic {
namespace {

[[noreturn]] void refuse(const std::string &option, const std::string &value, const std::string &expected) {
  throw UsageError("--" + option + ": '" + value + "' is not " + expected);
}

/// A decimal integer from 0 to `most`.
uint64_t integer(const std::string &option, const std::string &text, uint64_t most) {
  errno = 0;
  char *end = nullptr;
  const uint64_t value = std::strtoull(text.c_str(), &end, 10);
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || *end != '\0' || errno != 0 || value > most)
    refuse(option, text, "an integer from 0 to " + std::to_string(most));
  return value;
}

float fraction(const std::string &option, const std::string &text, float most, const char *expected) {
  char *end = nullptr;
  const float value = std::strtof(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= 0 && value <= most)) refuse(option, text, expected);
  return value;
}

std::vector<int32_t> id_list(const std::string &text) {
  std::vector<int32_t> ids;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    ids.push_back(int32_t(integer("ids", text.substr(begin, end - begin), INT32_MAX)));
    begin = end + 1;
  }
  return ids;
}

using Setter = std::function<void(Options &, const std::string &)>;

/// The options that take a value.
const std::map<std::string, Setter> &setters() {
  static const std::map<std::string, Setter> table = {
      {"bundle", [](Options &o, const std::string &v) { o.bundle = v; }},
      {"mode", [](Options &o, const std::string &v) { o.mode = v; }},
      {"ids", [](Options &o, const std::string &v) { o.ids = id_list(v); }},
      {"tokens", [](Options &o, const std::string &v) { o.tokens = integer("tokens", v, 1u << 24); }},
      {"threads", [](Options &o, const std::string &v) { o.threads = uint32_t(integer("threads", v, 1024)); }},
      {"top-k", [](Options &o, const std::string &v) { o.sampling.top_k = uint32_t(integer("top-k", v, 1u << 24)); }},
      {"seed", [](Options &o, const std::string &v) { o.sampling.seed = integer("seed", v, UINT64_MAX); }},
      {"top-p",
       [](Options &o, const std::string &v) { o.sampling.top_p = fraction("top-p", v, 1, "a number from 0 to 1"); }},
      {"temperature",
       [](Options &o, const std::string &v) {
         o.sampling.temperature = fraction("temperature", v, 1e6f, "a number from 0 (greedy) up");
       }},
  };
  return table;
}

void add_prompt(Options &options, const std::string &text) {
  if (options.prompt) throw UsageError("'" + text + "': there is a prompt already; put the whole text in quotes");
  options.prompt = text;
}

}  // namespace

Options parse_options(int count, char **arguments) {
  Options options;
  bool only_text = false;
  for (int i = 1; i < count; i++) {
    const std::string argument = arguments[i];
    if (only_text || argument.size() < 2 || argument[0] != '-') {
      add_prompt(options, argument);
    } else if (argument == "--") {
      only_text = true;
    } else if (argument == "--help" || argument == "-h") {
      options.help = true;
    } else if (argument == "--json") {
      options.json = true;
    } else {
      const size_t equals = argument.find('=');
      const std::string name = argument.substr(0, equals);
      const auto setter = name.rfind("--", 0) == 0 ? setters().find(name.substr(2)) : setters().end();
      if (setter == setters().end())
        throw UsageError("'" + name +
                         "' is not an option; --help lists them. A prompt that begins with '-' goes "
                         "behind '--'");
      if (equals == std::string::npos && i + 1 == count) throw UsageError(name + " needs a value");
      setter->second(options, equals != std::string::npos ? argument.substr(equals + 1) : arguments[++i]);
    }
  }
  if (options.help) return options;
  if (options.prompt && options.ids) throw UsageError("give a prompt or --ids, not both");
  if (!options.prompt && !options.ids) throw UsageError("there is no prompt; give a text in quotes, or --help");
  return options;
}

std::string usage(const std::string &program) {
  return "Usage: " + program +
         " [options] PROMPT\n\n"
         "Continues PROMPT, and streams the text to standard output. '-' reads the prompt from standard input.\n\n"
         "  --tokens N         generate at most N tokens (128)\n"
         "  --temperature T    0: always the most likely token (0)\n"
         "  --top-k N          choose among the N most likely tokens\n"
         "  --top-p P          choose among the most likely tokens that hold the probability P\n"
         "  --seed N           the same seed gives the same text (0)\n"
         "  --mode NAME        exact, bounded or lossless (what the model was built for)\n"
         "  --threads N        CPU threads (those that this process may use)\n"
         "  --ids 1,2,3        the prompt as token ids\n"
         "  --bundle FILE      the .gsi file (beside this program, under its name)\n"
         "  --json             print one JSON document\n"
         "  --help             print this\n";
}

}  // namespace gsic
