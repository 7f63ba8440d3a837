// gsic-tool evaluate BUNDLE --ids-file F --window W --out F.safetensors [--modes A,B,...] [--reference F] [--threads N]
// Runs mode `exact` and others over the same windows of W tokens; each window begins with an empty session, and its
// first token is context only. `--modes`: which others; default: all that the bundle has. One entry per predicted
// token, in order: `nll_exact` F32 [tokens] (nats); of the other modes `nll` F32 [modes, tokens], `kl` F32 [modes,
// tokens] (KL(exact || mode), nats) and `same_top1` U8 [modes, tokens], if there are others. Also `gates:<mode>` I64
// [gates, 2] (closed, open) and `seconds` F64 [1 + modes] spent in each mode, `exact` first. The metadata holds as JSON
// the names of the other modes (`modes`) and of each one's gates (`gates`). `--reference`: a file of the exact mode's
// logits, F32 [tokens, vocabulary], for these ids and this window: written if it is not there, and if it is, read in
// place of running that mode.

#include <algorithm>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "arguments.h"
#include "distribution.h"
#include "error.h"
#include "parallel.h"
#include "reference.h"
#include "safetensors.h"
#include "session.h"
#include "token_ids.h"

namespace gsic {
namespace {

/// How a mode predicts one token, beside the exact mode.
struct Scores {
  float nll, kl;
  uint8_t same_top1;
};

/// One mode while it runs: its session, the logits of the current pass, and the time spent.
struct Runner {
  Runner(const std::shared_ptr<const Model> &model, const std::string &mode)
      : session(model, mode), vocabulary(model->manifest().vocabulary), logits(GSIC_MAX_COLUMNS * vocabulary) {}

  /// Fills `logits` for the next `count` tokens of the window.
  void evaluate(const int32_t *ids, size_t count) {
    const double start = now();
    session.evaluate(ids, count, count, [&](size_t index, const float *row) {
      std::copy_n(row, vocabulary, logits.data() + index * vocabulary);
    });
    seconds += now() - start;
  }
  Distribution distribution(size_t index) const { return {logits.data() + index * vocabulary, vocabulary}; }

  Session session;
  size_t vocabulary;
  std::vector<float> logits;
  double seconds = 0;
};

Scores score(const Distribution &exact, const Runner &mode, size_t index, int32_t next) {
  const Distribution other = mode.distribution(index);
  return {float(-other.log_probability(size_t(next))), float(divergence(exact, other, mode.vocabulary)),
          exact.top == other.top};
}

/// What was measured of one mode.
struct Measured {
  std::string mode;
  std::vector<Scores> scores;
  std::vector<std::string> gates;
  std::vector<int64_t> counts;  ///< [gates, 2]
  double seconds = 0;
};

/// What was measured of the exact mode.
struct Exact {
  std::vector<float> nll;
  double seconds = 0;
};

/// Modes that run side by side: each holds a session, and together they wait for the exact mode once.
constexpr size_t kModesAtOnce = 8;

/// Tokens that are predicted: all but the first of each window.
size_t predicted(size_t tokens, size_t window) { return tokens - (tokens + window - 1) / window; }

class Evaluation {
 public:
  /// `reference` may be null.
  Evaluation(std::shared_ptr<const Model> model, std::vector<int32_t> ids, size_t window, Reference *reference)
      : model_(std::move(model)), ids_(std::move(ids)), window_(window), reference_(reference), workers_(*model_) {}

  /// Measures some modes beside the exact one; `report` is called with the tokens done.
  void run(Measured *modes, size_t count, Exact &exact, const std::function<void(size_t)> &report) {
    Runner dense(model_, "exact");
    std::vector<std::unique_ptr<Runner>> runners;
    for (size_t i = 0; i < count; i++) runners.push_back(std::make_unique<Runner>(model_, modes[i].mode));
    exact.nll.clear();
    for (size_t begin = 0; begin < ids_.size(); begin += window_) {
      const size_t end = std::min(ids_.size(), begin + window_);
      dense.session.rewind(0);
      for (const auto &runner : runners) runner->session.rewind(0);
      for (size_t done = begin; done + 1 < end; done += GSIC_MAX_COLUMNS)
        pass(done, std::min<size_t>(GSIC_MAX_COLUMNS, end - 1 - done), dense, runners, modes, exact);
      report(end);
    }
    exact.seconds = dense.seconds;
    for (size_t i = 0; i < count; i++) {
      modes[i].seconds = runners[i]->seconds;
      modes[i].gates = runners[i]->session.gates();
      for (size_t gate = 0; gate < modes[i].gates.size(); gate++) {
        const auto [closed, open] = runners[i]->session.gate_counts(gate);
        modes[i].counts.insert(modes[i].counts.end(), {int64_t(closed), int64_t(open)});
      }
    }
  }

 private:
  void pass(size_t begin, size_t count, Runner &dense, const std::vector<std::unique_ptr<Runner>> &runners,
            Measured *modes, Exact &exact) {
    evaluate_dense(ids_.data() + begin, count, exact.nll.size(), dense);
    for (const auto &runner : runners) runner->evaluate(ids_.data() + begin, count);
    const size_t first = exact.nll.size();
    exact.nll.resize(first + count);
    for (size_t i = 0; i < runners.size(); i++) modes[i].scores.resize(first + count);
    workers_.each(count, [&](size_t index) {
      const int32_t next = ids_[begin + index + 1];
      const Distribution p = dense.distribution(index);
      exact.nll[first + index] = float(-p.log_probability(size_t(next)));
      for (size_t i = 0; i < runners.size(); i++) modes[i].scores[first + index] = score(p, *runners[i], index, next);
    });
  }

  /// The exact mode's logits of `count` tokens; `first`: their place among all that are predicted.
  void evaluate_dense(const int32_t *ids, size_t count, size_t first, Runner &dense) {
    if (reference_ != nullptr && reference_->complete()) {
      reference_->read(first, count, dense.logits.data());
      return;
    }
    dense.evaluate(ids, count);
    if (reference_ != nullptr) reference_->write(dense.logits.data(), count);
  }

  std::shared_ptr<const Model> model_;
  std::vector<int32_t> ids_;
  size_t window_;
  Reference *reference_;
  HostWorkers workers_;
};

/// The modes to measure: those named, or all but the exact one.
std::vector<Measured> wanted_modes(const Arguments &arguments, const std::vector<std::string> &modes) {
  std::vector<Measured> wanted;
  std::istringstream list(arguments.text("modes", ""));
  for (std::string name; std::getline(list, name, ',');) {
    if (std::find(modes.begin(), modes.end(), name) == modes.end())
      throw Error(GSIC_INVALID_ARGUMENT, "--modes: the bundle has no mode '" + name + "'");
    wanted.push_back({name, {}, {}, {}});
  }
  if (wanted.empty())
    for (const std::string &name : modes)
      if (name != "exact") wanted.push_back({name, {}, {}, {}});
  return wanted;
}

/// One member of all scores of all modes.
template <typename Number> std::vector<Number> column(const std::vector<Measured> &modes, Number Scores::*member) {
  std::vector<Number> values;
  for (const Measured &mode : modes)
    for (const Scores &scores : mode.scores) values.push_back(scores.*member);
  return values;
}

void save(const Arguments &arguments, const std::vector<Measured> &modes, const Exact &exact) {
  std::map<std::string, std::string> metadata = arguments.metadata();
  std::vector<double> seconds = {exact.seconds};
  nlohmann::json names = nlohmann::json::array(), gates = nlohmann::json::array();
  for (const Measured &mode : modes) {
    seconds.push_back(mode.seconds);
    names.push_back(mode.mode);
    gates.push_back(mode.gates);
  }
  metadata["modes"] = names.dump();
  metadata["gates"] = gates.dump();
  const uint64_t count = exact.nll.size();
  std::vector<TensorHeader> headers = {{"seconds", "F64", {seconds.size()}}};
  for (const Measured &mode : modes) headers.push_back({"gates:" + mode.mode, "I64", {mode.gates.size(), 2}});
  headers.push_back({"nll_exact", "F32", {count}});
  if (!modes.empty()) {
    const std::vector<uint64_t> shape = {modes.size(), count};
    headers.insert(headers.end(), {{"nll", "F32", shape}, {"kl", "F32", shape}, {"same_top1", "U8", shape}});
  }
  SafetensorsWriter file(arguments.text("out"), headers, metadata);
  file.write(seconds);
  for (const Measured &mode : modes) file.write(mode.counts);
  file.write(exact.nll);
  file.write(column(modes, &Scores::nll));
  file.write(column(modes, &Scores::kl));
  file.write(column(modes, &Scores::same_top1));
  file.finish();
}

}  // namespace

void run_evaluate(const Arguments &arguments) {
  std::vector<int32_t> ids = arguments.ids();
  const auto model = arguments.open_model();
  // Every id is looked up as the token that is predicted, some before a session sees them.
  require_ids(ids.data(), ids.size(), model->manifest().vocabulary);
  const size_t window = arguments.number("window", 2, model->manifest().context);
  std::vector<Measured> modes = wanted_modes(arguments, model->manifest().modes);
  const std::string kept = arguments.text("reference", "");
  std::unique_ptr<Reference> reference;
  if (!kept.empty())
    reference = std::make_unique<Reference>(kept, predicted(ids.size(), window), model->manifest().vocabulary);
  Evaluation evaluation(model, ids, window, reference.get());
  Exact exact;
  const size_t rounds = std::max<size_t>(1, (modes.size() + kModesAtOnce - 1) / kModesAtOnce);
  Progress progress(rounds * ids.size());
  for (size_t round = 0; round < rounds; round++) {
    const size_t first = round * kModesAtOnce, count = std::min(kModesAtOnce, modes.size() - first);
    evaluation.run(modes.data() + first, count, exact,
                   [&](size_t done) { progress.report(round * ids.size() + done); });
  }
  save(arguments, modes, exact);
}

}  // namespace gsic
