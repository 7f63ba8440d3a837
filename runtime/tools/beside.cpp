// gsic-tool beside BUNDLE [--beside 7] [--users 1] [--mode M] [--seconds 2] [--repeat 5] [--prompt 16] [--threads N]
// Measures requests that share passes, beside so many processes that do nothing but count, which it starts and ends:
// with as many workers as are found to be fastest, as gsic runs, and with each fixed number of them, by turns, for
// `seconds` each. One JSON document on standard output: tokens a second, the fixed number that is best, and the ratio
// to it, round by round; how often numbers were compared; and how many greedy tokens differ from one number to
// another, which is none.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "batch.h"
#include "error.h"
#include "prompts.h"
#include "samples.h"
#include "thread_pool.h"

namespace gsic {
namespace {

using nlohmann::ordered_json;

/// Processes that keep CPUs busy from `begin` on, as long as this lives.
class BusyProcesses {
 public:
  /// To be made before any thread is.
  explicit BusyProcesses(size_t count) {
    for (size_t i = 0; i < count; i++) {
      const pid_t child = fork();
      if (child < 0) throw Error(GSIC_OUT_OF_MEMORY, "a process could not be started", "give a smaller --beside");
      if (child == 0) be_busy();
      children_.push_back(child);
    }
  }
  ~BusyProcesses() {
    for (const pid_t child : children_) kill(child, SIGKILL);
    for (const pid_t child : children_) waitpid(child, nullptr, 0);
  }
  BusyProcesses(const BusyProcesses &) = delete;
  BusyProcesses &operator=(const BusyProcesses &) = delete;

  void begin() {
    for (const pid_t child : children_) {
      waitpid(child, nullptr, WUNTRACED);
      kill(child, SIGCONT);
    }
  }

 private:
  [[noreturn]] static void be_busy() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    raise(SIGSTOP);
    for (volatile uint64_t counted = 0;;) counted = counted + 1;
  }

  std::vector<pid_t> children_;
};

using Ids = std::vector<int32_t>;

/// Requests that share passes on workers of one kind, and what they wrote.
class Requests {
 public:
  Requests(const std::shared_ptr<const Model> &model, const std::string &mode, size_t users, uint32_t fixed)
      : threads(fixed), written(users), batch_(model, {mode, 0}), tickets_(users), lengths_(users) {}

  /// Writes behind the prompts for so many seconds, again from the beginning where a text ends.
  void measure(const std::vector<Ids> &prompts, double seconds) {
    const double start = now();
    size_t tokens = 0;
    for (size_t i = 0; i < prompts.size(); i++) submit(i, prompts[i], tokens);
    do {
      batch_.run(std::chrono::milliseconds(0));
      for (size_t i = 0; i < prompts.size(); i++)
        if (tickets_[i] == 0) submit(i, prompts[i], tokens);
    } while (now() - start < seconds);
    rate.add(double(tokens) / (now() - start));
    for (const uint64_t ticket : tickets_) batch_.cancel(ticket);
    const auto is_ended = [](uint64_t ticket) { return ticket == 0; };
    while (!std::all_of(tickets_.begin(), tickets_.end(), is_ended)) batch_.run(std::chrono::milliseconds(0));
  }
  uint64_t trials() const { return batch_.model().device().thread_trials(); }

  const uint32_t threads;    ///< fixed; 0: as many as are fastest
  std::vector<Ids> written;  ///< of each user, as far as it came
  Samples rate;              ///< tokens a second, of all users

 private:
  void submit(size_t user, const Ids &prompt, size_t &tokens) {
    BatchRequest request;
    request.prompt = prompt;
    request.limit = batch_.model().manifest().context - prompt.size();
    request.visit = [this, user, &tokens](const BatchEvent &event) {
      if (event.end == GSIC_END_FAILED) throw Error(event.status, event.reason);
      if (event.end != GSIC_END_NONE) {
        tickets_[user] = 0;
        return true;
      }
      Ids &known = written[user];
      const size_t at = lengths_[user]++;
      if (at == known.size()) known.push_back(event.id);
      if (known[at] != event.id) throw Error(GSIC_INTERNAL, "a text is not what it was before");
      tokens++;
      return true;
    };
    lengths_[user] = 0;
    tickets_[user] = batch_.submit(std::move(request));
  }

  Batch batch_;
  std::vector<uint64_t> tickets_;  ///< 0: the text has ended
  std::vector<size_t> lengths_;
};

/// Tokens of a's texts that are not b's.
size_t differing(const Requests &a, const Requests &b) {
  size_t count = 0;
  for (size_t user = 0; user < a.written.size(); user++) {
    const Ids &mine = a.written[user], &other = b.written[user];
    for (size_t i = 0; i < std::min(mine.size(), other.size()); i++) count += mine[i] != other[i];
  }
  return count;
}

std::vector<Ids> prompts_of(const Arguments &arguments, const Model &model, size_t users) {
  const Manifest &manifest = model.manifest();
  const size_t length = std::min<size_t>(arguments.number("prompt", 1, 1u << 20, 16), manifest.context / 2);
  std::vector<Ids> prompts(users, Prompts(arguments, model, length)[0]);
  for (size_t i = 0; i < users; i++) prompts[i][0] = int32_t((i * 7919 + 3) % manifest.vocabulary);
  return prompts;
}

ordered_json describe(const std::vector<std::unique_ptr<Requests>> &subjects) {
  const Requests &own = *subjects[0], *best = subjects[1].get();
  ordered_json fixed = ordered_json::array();
  size_t other = 0;
  for (size_t i = 1; i < subjects.size(); i++) {
    const Requests &one = *subjects[i];
    fixed.push_back({{"threads", one.threads}, {"tokens_per_second", one.rate.json()}});
    if (one.rate.median() > best->rate.median()) best = &one;
    other += differing(own, one);
  }
  Samples ratio;
  for (size_t i = 0; i < own.rate.values.size(); i++) ratio.add(own.rate.values[i] / best->rate.values[i]);
  return {{"tokens_per_second", own.rate.json()},
          {"trials", own.trials()},
          {"fixed", fixed},
          {"best_fixed_threads", best->threads},
          {"ratio_to_best_fixed", ratio.json()},
          {"differing_tokens", other}};
}

}  // namespace

void run_beside(const Arguments &arguments) {
  const size_t count = arguments.number("beside", 0, 4096, 7);
  BusyProcesses busy(count);
  const auto threads = uint32_t(arguments.number("threads", 1, 1024, usable_cpus()));
  const double seconds = arguments.real("seconds", 2);
  const size_t users = arguments.number("users", 1, GSIC_MAX_COLUMNS, 1);
  const std::string mode = arguments.text("mode", "");
  std::vector<std::unique_ptr<Requests>> subjects;
  const auto first = arguments.open_model(Sharing::measured, threads);
  if (first->target().device != DeviceKind::cpu)
    throw Error(GSIC_INVALID_ARGUMENT, "a GPU's launches do not wait for threads of this machine",
                "measure a build for CPUs");
  subjects.push_back(std::make_unique<Requests>(first, mode, users, 0));
  const auto add = [&](uint32_t fixed) {
    subjects.push_back(std::make_unique<Requests>(arguments.open_model(Sharing::all, fixed), mode, users, fixed));
  };
  for (uint32_t fixed = 1; fixed < threads; fixed += std::max(1u, fixed / 2)) add(fixed);
  add(threads);
  const std::vector<Ids> prompts = prompts_of(arguments, *first, users);
  for (auto &subject : subjects) subject->measure(prompts, 0);
  for (auto &subject : subjects) subject->rate = {};
  busy.begin();
  const size_t repeat = arguments.number("repeat", 1, 1000, 5);
  Progress progress(repeat);
  for (size_t i = 0; i < repeat; i++) {
    for (size_t j = 0; j < subjects.size(); j++) subjects[(i + j) % subjects.size()]->measure(prompts, seconds);
    progress.report(i + 1);
  }
  ordered_json document = {{"target", first->target().name},
                           {"mode", mode.empty() ? first->manifest().modes[0] : mode},
                           {"threads", threads},
                           {"users", users},
                           {"beside", count}};
  document.update(describe(subjects));
  std::cout << document.dump(2) << std::endl;
}

}  // namespace gsic
