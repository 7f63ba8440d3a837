// gsic-tool beside BUNDLE --processes N [--mode M] [--seconds 2] [--repeat 3] [--threads T]
// Decodes beside N processes that keep the CPUs busy: with threads that adapt, as programs do, and with each fixed
// number of them from 1 to T (default: the CPUs that this process may use). Every repetition takes all of them in turn,
// for so many seconds each; the one that adapts has half a second before it is measured. One JSON document on standard
// output.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "error.h"
#include "samples.h"
#include "session.h"
#include "thread_pool.h"

namespace gsic {
namespace {

using nlohmann::ordered_json;

/// Processes that compute until this object ends, or this process does.
class BusyProcesses {
 public:
  explicit BusyProcesses(size_t count) {
    const pid_t parent = getpid();
    for (size_t i = 0; i < count; i++) {
      const pid_t child = fork();
      if (child < 0) throw Error(GSIC_OUT_OF_MEMORY, "a process cannot be started: " + system_error_text());
      if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(0);
        for (volatile uint64_t spins = 0;; spins = spins + 1) {
        }
      }
      children_.push_back(child);
    }
  }
  ~BusyProcesses() {
    for (const pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }
  BusyProcesses(const BusyProcesses &) = delete;
  BusyProcesses &operator=(const BusyProcesses &) = delete;

 private:
  std::vector<pid_t> children_;
};

/// A session on threads of its own.
class Decoder {
 public:
  Decoder(const std::string &path, const std::string &mode, OpenOptions options)
      : model_(std::make_shared<const Model>(path, options)), session_(model_, mode) {}

  /// Tokens a second.
  double rate(double seconds) {
    const double start = now();
    size_t tokens = 0;
    for (; now() - start < seconds; tokens++) {
      if (session_.length() + 1 >= model_->manifest().context) session_.rewind(0);
      last_ = session_.choose(&last_, 1);
    }
    return double(tokens) / (now() - start);
  }

 private:
  std::shared_ptr<const Model> model_;
  Session session_;
  int32_t last_ = 0;
};

}  // namespace

void run_beside(const Arguments &arguments) {
  const std::string path = arguments.open_model()->path(), mode = arguments.text("mode", "");
  const auto most = uint32_t(arguments.number("threads", 1, 1024, usable_cpus()));
  const double seconds = arguments.real("seconds", 2);
  const size_t repeat = arguments.number("repeat", 1, 1000, 3), processes = arguments.number("processes", 0, 1024);
  OpenOptions options;
  options.verify_weights = false;
  options.threads = most;
  Decoder adapts(path, mode, options);
  options.adapts = false;
  std::vector<std::unique_ptr<Decoder>> fixed;
  for (options.threads = 1; options.threads <= most; options.threads++)
    fixed.push_back(std::make_unique<Decoder>(path, mode, options));
  Samples adapting, ratio;
  std::vector<Samples> rates(most);
  {
    const BusyProcesses others(processes);
    for (size_t i = 0; i < repeat; i++) {
      adapts.rate(0.5);
      adapting.add(adapts.rate(seconds));
      double best = 0;
      for (size_t j = 0; j < most; j++) {
        rates[j].add(fixed[j]->rate(seconds));
        best = std::max(best, rates[j].values.back());
      }
      ratio.add(adapting.values.back() / best);
    }
  }
  ordered_json document = {{"processes", processes},
                           {"adapting_tokens_per_second", adapting.json()},
                           {"ratio_to_best_fixed", ratio.json()},
                           {"fixed", ordered_json::array()}};
  for (size_t j = 0; j < most; j++)
    document["fixed"].push_back({{"threads", j + 1}, {"tokens_per_second", rates[j].json()}});
  std::cout << document.dump(2) << std::endl;
}

}  // namespace gsic
