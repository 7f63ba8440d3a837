// gsic-tool linalg: {"op":"quantize"} and {"op":"tier_losses"}.
#include <cblas.h>

#include <map>
#include <memory>

#include "error.h"
#include "linalg.h"
#include "tiers.h"

namespace gsic {
namespace {

using nlohmann::json;

/// One request with its arrays.
struct Request {
  TierSettings settings;
  Stack stack;
  MomentInput moment;
  bool losses = true;
  uint64_t projections = 0, projection_seed = 0;
  std::vector<float> samples;
};

/// Quantisers and ranks that are tried on all matrices of a stack.
struct Variant {
  Quantizer quantizer;
  size_t k = 0;
  /// Some rows alone stand for all.
  bool sampled = false;
};

/// Of so many panels of a matrix one is taken into a sample, but of each matrix at least two.
constexpr size_t kSampleStride = 8;

/// A request for what variants lose.
struct LossRequest : Request {
  std::vector<Variant> variants;
  OutputGradients known;
};

Quantizer quantizer_of(const json &value) {
  const Quantizer quantizer{value.value("bits", 0u), value.value("group", 0u), value.value("symmetric", true)};
  const bool bits = quantizer.bits >= 3 && quantizer.bits <= 8 && quantizer.bits != 7;
  if (!bits || (quantizer.group != 32 && quantizer.group != 64 && quantizer.group != 128))
    refuse("a quantizer has bits 3, 4, 5, 6 or 8, and groups of 32, 64 or 128");
  return quantizer;
}

size_t rank_of(const json &request, uint64_t d) {
  const uint64_t k = dimension(request, "k", 0);
  if (k > d || k % 4 != 0) refuse("k is no multiple of 4 up to d");
  return k;
}

TierSettings settings_of(const json &request, uint64_t d) {
  TierSettings settings;
  settings.k = request.contains("k") ? rank_of(request, d) : 0;
  settings.search = request.value("search", true);
  settings.feedback = request.value("feedback", true);
  settings.damping = request.value("damping", settings.damping);
  settings.rounds = dimension(request, "rounds");
  if (!(settings.damping >= 0 && settings.damping <= 1)) refuse("'damping' is not a number from 0 to 1");
  return settings;
}

/// Sets the matrices' shapes; returns the rows of all of them.
uint64_t read_shapes(const json &request, uint64_t d, Stack &stack) {
  const json &matrices = request.at("matrices");
  if (!matrices.is_array() || matrices.empty()) refuse("'matrices' is not a list");
  uint64_t rows = 0;
  for (const json &matrix : matrices) {
    const uint64_t out = dimension(matrix, "out");
    stack.matrices.emplace_back(quantizer_of(matrix), out, d);
    rows += out;
  }
  return rows;
}

void add_matrix(const QuantizedMatrix &matrix, Answer &answer) {
  answer.add(matrix.q);
  answer.add(matrix.scales);
  answer.add(matrix.zeros);
  answer.add(matrix.row_scales);
}

QuantizedMatrix projections_of(ThreadPool &pool, const Request &request) {
  const std::vector<float> rows = random_projections(pool, request.stack, request.projections, request.projection_seed);
  QuantizedMatrix s({8, 64, true}, request.projections, request.stack.d);
  for (size_t first = 0; first < s.rows; first += kPanelRows)
    quantize_rows(&rows[first * s.d], first, std::min(kPanelRows, s.rows - first), {false, nullptr, nullptr}, s);
  return s;
}

Answer answer_of(Request &request, ThreadPool &pool) {
  Stack &stack = request.stack;
  const SecondMoment moment = moment_of(request.moment);
  quantize_stack(pool, stack, moment, request.settings, metric_of(moment, request.settings));
  Answer answer;
  if (request.losses) {
    json errors = json::array(), energies = json::array();
    for (const TierLoss &loss : losses_of(pool, stack, root_of(moment), true, nullptr)) {
      errors.push_back(loss.error);
      energies.push_back(loss.energy);
    }
    answer.fields = {{"errors", errors}, {"energies", energies}};
  }
  QuantizedMatrix s({8, 64, true}, 0, stack.d);
  if (request.projections > 0) s = projections_of(pool, request);
  const std::vector<float> samples =
      request.samples.empty() ? std::vector<float>() : sample_errors(pool, stack, s, request.samples);
  for (size_t i = 0; i < stack.matrices.size(); i++) {
    add_matrix(stack.matrices[i], answer);
    stack.matrices[i].q = {};
    if (stack.k() == 0) continue;
    answer.add(stack.a[i].a);
    answer.add(stack.a[i].scales);
  }
  if (stack.k() > 0) add_matrix(stack.b, answer);
  if (s.rows > 0) add_matrix(s, answer);
  answer.add(samples);
  return answer;
}

/// Reads what stands behind the matrices' shapes in either request: the second moment, and the weights.
void read_stack(const json &header, uint64_t d, uint64_t rows, Request &request) {
  request.moment = read_moment(header, d);
  request.stack.weights = read_matrix(rows, d);
}

std::vector<Variant> variants_of(const json &request, uint64_t d) {
  const json variants = request.value("variants", json::array());
  if (!variants.is_array() || variants.empty()) refuse("'variants' is not a list");
  std::vector<Variant> result;
  for (const json &variant : variants)
    result.push_back({quantizer_of(variant), rank_of(variant, d), variant.value("sampled", false)});
  return result;
}

/// Panels of every matrix, evenly spaced.
Stack sampled_rows(const Stack &stack) {
  Stack result;
  result.d = stack.d;
  for (size_t index = 0; index < stack.matrices.size(); index++) {
    const size_t rows = stack.matrices[index].rows, panels = (rows + kPanelRows - 1) / kPanelRows;
    const size_t stride = std::max<size_t>(1, std::min(kSampleStride, panels / 2));
    size_t taken = 0;
    for (size_t panel = 0; panel < panels; panel += stride) {
      const size_t first = panel * kPanelRows, count = std::min(kPanelRows, rows - first);
      const float *from = stack.row(index, first);
      result.weights.insert(result.weights.end(), from, from + count * stack.d);
      taken += count;
    }
    result.matrices.emplace_back(stack.matrices[index].quantizer, taken, stack.d);
  }
  return result;
}

/// The losses of all variants; those of one rank share a metric.
Answer losses_answer(LossRequest &request, ThreadPool &pool) {
  Stack sample = sampled_rows(request.stack);
  const SecondMoment moment = moment_of(request.moment);
  const MomentRoot root = root_of(moment);
  std::vector<json> errors(request.variants.size()), divergences(request.variants.size());
  std::vector<std::vector<float>> tokens(request.variants.size(), std::vector<float>(request.known.tokens));
  std::map<size_t, std::vector<size_t>> by_rank;
  for (size_t i = 0; i < request.variants.size(); i++) by_rank[request.variants[i].k].push_back(i);
  for (const auto &[k, indices] : by_rank) {
    TierSettings settings = request.settings;
    settings.k = k;
    const TierMetric metric = metric_of(moment, settings);
    for (const size_t index : indices) {
      const bool sampled = request.variants[index].sampled;
      Stack &stack = sampled ? sample : request.stack;
      for (QuantizedMatrix &matrix : stack.matrices)
        matrix = QuantizedMatrix(request.variants[index].quantizer, matrix.rows, stack.d);
      stack.b = {};
      quantize_stack(pool, stack, moment, settings, metric);
      for (const TierLoss &loss : losses_of(pool, stack, root, false, sampled ? nullptr : &request.known)) {
        errors[index].push_back(loss.error);
        divergences[index].push_back(loss.divergence);
        for (size_t t = 0; t < loss.tokens.size(); t++) tokens[index][t] += float(loss.tokens[t]);
      }
    }
  }
  Answer answer;
  answer.fields = {{"errors", errors}, {"divergences", divergences}};
  for (const std::vector<float> &one : tokens) answer.add(one);
  return answer;
}

}  // namespace

std::function<Answer()> read_tier_losses(const json &header, ThreadPool &pool) {
  const auto request = std::make_shared<LossRequest>();
  const uint64_t d = request->stack.d = dimension(header, "d");
  request->settings = settings_of(header, d);
  const uint64_t rows = read_shapes(header, d, request->stack);
  request->variants = variants_of(header, d);
  OutputGradients &known = request->known;
  known.tokens = dimension(header, "tokens", 0);
  read_stack(header, d, rows, *request);
  known.inputs = read_matrix(known.tokens, d);
  for (const QuantizedMatrix &matrix : request->stack.matrices)
    known.gradients.push_back(read_matrix(known.tokens, matrix.rows));
  return [request, &pool] { return losses_answer(*request, pool); };
}

std::function<Answer()> read_quantize(const json &header, ThreadPool &pool) {
  const auto request = std::make_shared<Request>();
  const uint64_t d = request->stack.d = dimension(header, "d");
  request->settings = settings_of(header, d);
  const uint64_t rows = read_shapes(header, d, request->stack);
  request->losses = header.value("losses", true);
  request->projections = dimension(header, "projections", 0);
  request->projection_seed = request->projections > 0 ? dimension(header, "projection_seed", 0) : 0;
  const uint64_t samples = dimension(header, "samples", 0);
  read_stack(header, d, rows, *request);
  if (samples > 0) request->samples = read_matrix(samples, d);
  return [request, &pool] { return answer_of(*request, pool); };
}

}  // namespace gsic
