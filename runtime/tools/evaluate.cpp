// gsic-tool evaluate BUNDLE --ids-file F --window W --out F.safetensors [--modes A,B,...] [--threads N]
// Runs mode `exact` and others over the same windows of W tokens; each window begins with an empty session, and its
// first token is context only. `--modes`: which others; default: all that the bundle has. One entry per predicted
// token, in order: `nll_exact` F32 [tokens] (nats); of the other modes `nll` F32 [modes, tokens], `kl` F32 [modes,
// tokens] (KL(exact || mode), nats) and `same_top1` U8 [modes, tokens], if there are others. Also `gates:<mode>` I64
// [gates, 2] (closed, open) and `seconds` F64 [1 + modes] spent in each mode, `exact` first. The metadata holds as JSON
// the names of the other modes (`modes`) and of each one's gates (`gates`).

// Sums over a vocabulary become vector code only when optimised for speed; products stay apart from sums, so that every
// instruction set gives the same bits.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "fp-contract=off")
#endif

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "arguments.h"
#include "clones.h"
#include "error.h"
#include "parallel.h"
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

/// exp(x) for x <= 0 to about 1e-14 of it, 0 far below; without branches, so that loops over it become vector code.
inline double exponential(double x) {
  constexpr double kLog2e = 1.4426950408889634, kLn2High = 0x1.62e42fee00000p-1, kLn2Low = 0x1.a39ef35793c76p-33;
  constexpr double kShift = 0x1.8p52, kLeast = -708;
  const double within = x < kLeast ? kLeast : x;
  const double shifted = within * kLog2e + kShift, power = shifted - kShift;
  const double r = (within - power * kLn2High) - power * kLn2Low;
  double sum = 1.0 / 479001600;
  constexpr double kInverses[] = {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
                                  1.0 / 120,      1.0 / 24,      1.0 / 6,      1.0 / 2,     1.0,        1.0};
  for (const double inverse : kInverses) sum = sum * r + inverse;
  uint64_t bits, exponent;
  std::memcpy(&bits, &sum, sizeof bits);
  std::memcpy(&exponent, &shifted, sizeof exponent);
  bits += exponent << 52;
  std::memcpy(&sum, &bits, sizeof sum);
  return x < kLeast ? 0 : sum;
}

/// Sums are taken in this many parts, one behind the other, whatever the instruction set.
constexpr size_t kParts = 16;

/// Sets powers[i] = exp(logits[i] - top), and returns their sum.
double powers_of(const float *logits, size_t count, float top, double *powers) {
  double sums[kParts] = {};
  const size_t whole = count - count % kParts;
  for (size_t i = 0; i < whole; i += kParts)
    for (size_t j = 0; j < kParts; j++) {
      powers[i + j] = exponential(double(logits[i + j]) - double(top));
      sums[j] += powers[i + j];
    }
  double sum = 0;
  for (const double part : sums) sum += part;
  for (size_t i = whole; i < count; i++) sum += powers[i] = exponential(double(logits[i]) - double(top));
  return sum;
}

/// The sum of weights[i] (a[i] - b[i]).
double weighted_difference(const double *weights, const float *a, const float *b, size_t count) {
  double sums[kParts] = {};
  const size_t whole = count - count % kParts;
  for (size_t i = 0; i < whole; i += kParts)
    for (size_t j = 0; j < kParts; j++) sums[j] += weights[i + j] * (double(a[i + j]) - double(b[i + j]));
  double sum = 0;
  for (const double part : sums) sum += part;
  for (size_t i = whole; i < count; i++) sum += weights[i] * (double(a[i]) - double(b[i]));
  return sum;
}

/// A row of logits as a distribution: log p_i = logits_i - log_sum, p_i = powers_i / total.
struct Distribution {
  Distribution(const float *row, size_t count)
      : logits(row), top(size_t(std::max_element(row, row + count) - row)), powers(count) {
    total = Clones<&powers_of>::call(row, count, row[top], powers.data());
    log_sum = row[top] + std::log(total);
  }
  double log_probability(size_t i) const { return logits[i] - log_sum; }

  const float *logits;
  size_t top;
  std::vector<double> powers;
  double total;
  double log_sum;
};

/// KL(p || q) = sum p (log p - log q), in nats.
double divergence(const Distribution &p, const Distribution &q, size_t count) {
  const double mean = Clones<&weighted_difference>::call(p.powers.data(), p.logits, q.logits, count) / p.total;
  return std::max(0.0, mean - p.log_sum + q.log_sum);
}

/// One mode while it runs: its session, the logits of the current pass, and the time spent.
struct Runner {
  Runner(const std::shared_ptr<const Model> &model, const std::string &mode)
      : session(model, mode), vocabulary(model->manifest().vocabulary), logits(GSIC_MAX_COLUMNS * vocabulary) {}

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

class Evaluation {
 public:
  Evaluation(std::shared_ptr<const Model> model, std::vector<int32_t> ids, size_t window)
      : model_(std::move(model)), ids_(std::move(ids)), window_(window), workers_(*model_) {}

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
    dense.evaluate(ids_.data() + begin, count);
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

  std::shared_ptr<const Model> model_;
  std::vector<int32_t> ids_;
  size_t window_;
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
  Evaluation evaluation(model, ids, window);
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
