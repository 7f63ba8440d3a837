// gsic-tool step BUNDLE [--tokens 32] [--repeat 5] [--prompt 16] [--ids-file F] [--threads N]
// Times every launch of a token's step where it stands, on a CPU: among the others, with the inputs that they leave and
// the weights in whatever cache they are in by then. Between launches the first worker reads the clock. Every
// repetition measures the read ceiling and a launch that does nothing, then each mode with a program of its own: behind
// a prompt (prompts.h) tokens are written greedily, by turns through the clocked launches and through the session's
// own. One JSON document on standard output: seconds of each launch in the order of the program, body then head,
// without what reading the clock costs, and of the whole step as it runs otherwise.
#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "error.h"
#include "gsic/abi.h"
#include "prompts.h"
#include "read_ceiling.h"
#include "samples.h"
#include "session.h"

namespace gsic {
namespace {

using nlohmann::ordered_json;

/// A kernel as any other: (double *seconds).
void clock_kernel(const gsic_worker *worker, void *const *arguments) {
  if (worker->index == 0) *static_cast<double *>(arguments[0]) = now();
}

/// A mode's launches with a clock before each and behind the last.
class ClockedMode {
 public:
  ClockedMode(const std::shared_ptr<const Model> &model, const std::string &mode)
      : session_(model, mode), times_(session_.launches().size() + 1), launches_(times_.size() - 1) {
    std::vector<ResolvedLaunch> list;
    for (double &time : times_) addresses_.push_back(&time);
    for (size_t i = 0; i < times_.size(); i++) {
      list.push_back({reinterpret_cast<void *>(&clock_kernel), &addresses_[i], 1});
      if (i < launches_.size()) list.push_back(session_.launches()[i]);
    }
    clocked_ = model->device().capture(list);
  }
  ClockedMode(const ClockedMode &) = delete;
  ClockedMode &operator=(const ClockedMode &) = delete;

  /// Writes `tokens` tokens behind a prompt; reading the clock costs `clock` seconds.
  void measure(const std::vector<int32_t> &prompt, size_t tokens, double clock) {
    session_.rewind(0);
    int32_t id = session_.choose(prompt.data(), prompt.size());
    for (size_t i = 0; i < tokens; i++) {
      if (i % 2 == 0) {
        const double start = now();
        id = session_.choose(&id, 1);
        step_.add(now() - start);
        continue;
      }
      id = session_.choose_through(*clocked_, id);
      std::vector<double> taken;
      for (size_t j = 0; j < launches_.size(); j++) taken.push_back(times_[j + 1] - times_[j]);
      // On a busy machine `clock` may have come out at more than the shortest launch took with it.
      const double clocked = std::min(clock, *std::min_element(taken.begin(), taken.end()));
      for (size_t j = 0; j < launches_.size(); j++) launches_[j].add(taken[j] - clocked);
    }
  }

  ordered_json json() const {
    ordered_json launches = ordered_json::array();
    for (const Samples &launch : launches_) launches.push_back(launch.json());
    return {{"step_seconds", step_.json()}, {"launches", launches}};
  }

 private:
  Session session_;
  std::vector<double> times_;  ///< written by the clocks
  std::vector<void *> addresses_;
  std::unique_ptr<Sequence> clocked_;
  std::vector<Samples> launches_;
  Samples step_;
};

}  // namespace

void run_step(const Arguments &arguments) {
  const auto model = arguments.open_model();
  const Manifest &manifest = model->manifest();
  if (model->target().device != DeviceKind::cpu)
    throw Error::at(model->path(), GSIC_INVALID_ARGUMENT,
                    "its target is a GPU, whose launches `gsic-tool launches` measures");
  const size_t repeat = arguments.number("repeat", 1, 1000, 5);
  if (manifest.context < 4)
    throw Error::at(model->path(), GSIC_INVALID_ARGUMENT, "a context of 4 tokens is needed at least");
  const size_t prompt = std::min<size_t>(arguments.number("prompt", 1, 1u << 20, 16), manifest.context - 2);
  const size_t tokens = std::min<size_t>(arguments.number("tokens", 2, 1u << 20, 32), manifest.context - prompt);
  const Prompts prompts(arguments, *model, prompt);
  std::vector<std::pair<std::string, std::unique_ptr<ClockedMode>>> modes;
  for (const std::string &mode : manifest.modes)
    if (model->programs(mode).draft == nullptr) modes.emplace_back(mode, std::make_unique<ClockedMode>(model, mode));
  CpuCeiling ceiling(manifest);
  Progress progress(repeat);
  for (size_t i = 0; i < repeat; i++) {
    ceiling.sample(model->device());
    for (auto &[mode, clocked] : modes) clocked->measure(prompts[i], tokens, ceiling.launch().values.back());
    progress.report(i + 1);
  }
  ordered_json document = {{"target", model->target().name},
                           {"device", model->device().name()},
                           {"threads", model->device().threads()},
                           {"repeat", repeat},
                           {"prompt", prompt},
                           {"tokens", tokens}};
  ceiling.describe(document);
  document["modes"] = ordered_json::object();
  for (const auto &[mode, clocked] : modes) document["modes"][mode] = clocked->json();
  std::cout << document.dump(2) << std::endl;
}

}  // namespace gsic
