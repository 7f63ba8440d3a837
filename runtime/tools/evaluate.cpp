// gsic-tool evaluate BUNDLE --ids-file F --window W --out F.safetensors [--threads N]
// Runs mode `exact` and the bundle's other mode over the same windows of W tokens; each window begins with an empty
// session, and its first token is context only. One entry per predicted token, in order:
// `nll_exact`, `nll_mode` F32 (nats), `kl` F32 (KL(exact || mode), nats), `same_top1` U8. Also `tiers` I64
// [inputs, 2] (gate closed, open) of the other mode, and `seconds` F64 [2] spent in each mode. The metadata names
// the other mode (`mode`) and the gated inputs (`tier_inputs`, JSON). Where `exact` is the only mode, only
// `nll_exact` and `seconds` [1] are written.
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "error.h"
#include "parallel.h"
#include "safetensors.h"
#include "session.h"

namespace gsic {
namespace {

/// What is written for one predicted token.
struct Scores {
  float nll_exact, nll_mode, kl;
  uint8_t same_top1;
};

/// A row of logits as a distribution: log p_i = logits_i - log_sum.
struct Distribution {
  Distribution(const float *row, size_t count)
      : logits(row), top(size_t(std::max_element(row, row + count) - row)) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += std::exp(double(row[i]) - row[top]);
    log_sum = row[top] + std::log(sum);
  }
  double log_probability(size_t i) const { return logits[i] - log_sum; }

  const float *logits;
  size_t top;
  double log_sum;
};

/// KL(p || q) = sum p (log p - log q), in nats.
double divergence(const Distribution &p, const Distribution &q, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) {
    const double log_p = p.log_probability(i);
    sum += std::exp(log_p) * (log_p - q.log_probability(i));
  }
  return std::max(0.0, sum);
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

Scores score(const Runner &exact, const Runner *other, size_t index, int32_t next) {
  const Distribution p = exact.distribution(index);
  Scores scores = {float(-p.log_probability(size_t(next))), 0, 0, 1};
  if (other == nullptr) return scores;
  const Distribution q = other->distribution(index);
  scores.nll_mode = float(-q.log_probability(size_t(next)));
  scores.kl = float(divergence(p, q, exact.vocabulary));
  scores.same_top1 = p.top == q.top;
  return scores;
}

/// Every id is looked up as the token that is predicted, some before a session sees them.
void check_ids(const std::vector<int32_t> &ids, uint32_t vocabulary) {
  for (size_t i = 0; i < ids.size(); i++)
    if (ids[i] < 0 || uint32_t(ids[i]) >= vocabulary)
      throw Error(GSIC_INVALID_ARGUMENT, "token " + std::to_string(i) + " is id " + std::to_string(ids[i]) +
                                             "; ids of this model go from 0 to " + std::to_string(vocabulary - 1));
}

/// One member of all scores.
template <typename Number> std::vector<Number> column(const std::vector<Scores> &scores, Number Scores::*member) {
  std::vector<Number> values;
  for (const Scores &score : scores) values.push_back(score.*member);
  return values;
}

void save(const Arguments &arguments, const std::vector<Scores> &scores, const Runner &exact, const Runner *other,
          const std::string &mode) {
  std::map<std::string, std::string> metadata = arguments.metadata();
  const uint64_t count = scores.size();
  const std::vector<double> seconds = other != nullptr ? std::vector{exact.seconds, other->seconds}
                                                       : std::vector{exact.seconds};
  std::vector<TensorHeader> headers = {{"seconds", "F64", {seconds.size()}}};
  std::vector<int64_t> tiers;
  if (other != nullptr) {
    const std::vector<std::string> &names = other->session.program().tiers;
    metadata["mode"] = mode;
    metadata["tier_inputs"] = nlohmann::json(names).dump();
    for (size_t i = 0; i < names.size(); i++) {
      const auto [fast, slow] = other->session.tier(i);
      tiers.insert(tiers.end(), {int64_t(fast), int64_t(slow)});
    }
    headers.push_back({"tiers", "I64", {names.size(), 2}});
  }
  headers.push_back({"nll_exact", "F32", {count}});
  if (other != nullptr)
    headers.insert(headers.end(), {{"nll_mode", "F32", {count}}, {"kl", "F32", {count}}, {"same_top1", "U8", {count}}});
  SafetensorsWriter file(arguments.text("out"), headers, metadata);
  file.write(seconds);
  file.write(tiers);
  file.write(column(scores, &Scores::nll_exact));
  if (other != nullptr) {
    file.write(column(scores, &Scores::nll_mode));
    file.write(column(scores, &Scores::kl));
    file.write(column(scores, &Scores::same_top1));
  }
  file.finish();
}

}  // namespace

void run_evaluate(const Arguments &arguments) {
  const std::vector<int32_t> ids = arguments.ids();
  const auto model = arguments.open_model();
  check_ids(ids, model->manifest().vocabulary);
  const size_t window = arguments.number("window", 2, model->manifest().context);
  const std::vector<std::string> &modes = model->manifest().modes;
  const auto found = std::find_if(modes.begin(), modes.end(), [](const std::string &mode) { return mode != "exact"; });
  Runner exact(model, "exact");
  const auto other = found != modes.end() ? std::make_unique<Runner>(model, *found) : nullptr;
  HostWorkers workers(*model);
  std::vector<Scores> scores;
  Progress progress(ids.size());
  for (size_t begin = 0; begin < ids.size(); begin += window) {
    const size_t end = std::min(ids.size(), begin + window);
    exact.session.rewind(0);
    if (other) other->session.rewind(0);
    for (size_t done = begin; done + 1 < end; done += GSIC_MAX_COLUMNS) {
      const size_t count = std::min<size_t>(GSIC_MAX_COLUMNS, end - 1 - done), first = scores.size();
      exact.evaluate(ids.data() + done, count);
      if (other) other->evaluate(ids.data() + done, count);
      scores.resize(first + count);
      workers.each(count, [&](size_t i) { scores[first + i] = score(exact, other.get(), i, ids[done + i + 1]); });
    }
    progress.report(end);
  }
  save(arguments, scores, exact, other.get(), other ? *found : "");
}

}  // namespace gsic
