// gsic-tool linalg: {"op":"blocks"} and {"op":"block_losses"}.
#include <algorithm>
#include <cmath>
#include <memory>

#include "blocks.h"
#include "error.h"
#include "linalg.h"
#include "parallel.h"
#include "tiers.h"

namespace gsic {
namespace {

using nlohmann::json;

/// Linears that read the same input, stacked.
struct BlockRequest {
  size_t d = 0;
  std::vector<size_t> rows;
  /// By matrix; of "block_losses", by variant.
  std::vector<const BlockFormat *> formats;
  bool plain = false, feedback = true;
  /// Of "block_losses": every eighth panel of a matrix alone, two at least.
  bool sampled = false;
  double damping = 0, shrinkage = 0;
  MomentInput moment;
  std::vector<float> weights;
  OutputGradients known;
};

const BlockFormat *format_of(const json &name, size_t d) {
  const BlockFormat *format = name.is_string() ? block_format(name.get<std::string>()) : nullptr;
  if (format == nullptr) refuse("a type is not one of GGUF's blocks: " + name.dump());
  if (d % format->elements != 0) refuse("rows of " + std::to_string(d) + " elements are no whole blocks of the type");
  return format;
}

/// Reads what both requests have.
std::shared_ptr<BlockRequest> read_common(const json &header) {
  const auto request = std::make_shared<BlockRequest>();
  request->d = dimension(header, "d");
  const json matrices = header.value("matrices", json::array());
  if (!matrices.is_array() || matrices.empty()) refuse("'matrices' is not a list");
  uint64_t rows = 0;
  for (const json &matrix : matrices) {
    request->rows.push_back(dimension(matrix, "out"));
    rows += request->rows.back();
    if (matrix.contains("type")) request->formats.push_back(format_of(matrix["type"], request->d));
  }
  request->plain = header.value("plain", false);
  request->feedback = header.value("feedback", true) && !request->plain;
  request->damping = header.value("damping", 0.0);
  if (!(request->damping >= 0 && request->damping <= 1)) refuse("'damping' is not a number from 0 to 1");
  request->shrinkage = header.value("shrinkage", 0.0);
  if (!(request->shrinkage >= 0 && request->shrinkage <= 1)) refuse("'shrinkage' is not a number from 0 to 1");
  if (!request->plain) request->moment = read_moment(header, request->d);
  request->weights = read_matrix(rows, request->d);
  return request;
}

/// What rows are rounded under.
struct Metric {
  Feedback feedback;
  Curvature curvature;
  std::vector<float> weights;

  BlockRounding rounding(const BlockFormat *format) const {
    const bool known = feedback.d > 0;
    return {format, &weights, known ? &feedback : nullptr, known ? &curvature : nullptr};
  }
};

/// (1 - share) C + share diag(C), where C is whole: correlations that other text may not have count less.
SecondMoment shrunk(SecondMoment moment, double share) {
  for (size_t i = 0; moment.dense() && i < moment.d; i++)
    for (size_t j = 0; j < moment.d; j++)
      if (i != j) moment.matrix[i * moment.d + j] *= 1 - share;
  return moment;
}

Metric metric_of(const BlockRequest &request, const SecondMoment &moment) {
  if (request.plain) return {{}, {}, std::vector<float>(request.d, 1)};
  if (!request.feedback) {
    const std::vector<double> diagonal = moment.diagonal();
    return {{}, {}, {diagonal.begin(), diagonal.end()}};
  }
  const SecondMoment expected = shrunk(moment, request.shrinkage);
  Metric metric{feedback_of(expected, {}, request.damping), {}, {}};
  metric.curvature = curvature_of(expected, metric.feedback.ridge);
  metric.weights = metric.feedback.weights;
  return metric;
}

/// The rows of all matrices in panels; where sampled, some of these.
std::vector<Panel> panels_of(const BlockRequest &request) {
  constexpr size_t kStride = 8;
  std::vector<Panel> panels;
  for (size_t matrix = 0; matrix < request.rows.size(); matrix++) {
    const size_t rows = request.rows[matrix], count = (rows + kPanelRows - 1) / kPanelRows;
    const size_t stride = request.sampled ? std::max<size_t>(1, std::min(kStride, count / 2)) : 1;
    for (size_t first = 0; first < rows; first += stride * kPanelRows)
      panels.push_back({matrix, first, std::min(kPanelRows, rows - first)});
  }
  return panels;
}

/// The first row of a panel, among those of all matrices.
size_t row_of(const BlockRequest &request, const Panel &panel) {
  size_t row = panel.first;
  for (size_t i = 0; i < panel.matrix; i++) row += request.rows[i];
  return row;
}

void require_finite_weights(const std::vector<float> &values) {
  if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
    throw Error(GSIC_INVALID_ARGUMENT, "the weights hold values that are no finite numbers");
}

Answer blocks_answer(const BlockRequest &request, ThreadPool &pool) {
  require_finite_weights(request.weights);
  const SecondMoment moment = request.plain ? SecondMoment{} : moment_of(request.moment);
  const Metric metric = metric_of(request, moment);
  Answer answer;
  for (size_t i = 0; i < request.rows.size(); i++)
    answer.arrays.emplace_back(request.rows[i] * (request.d / request.formats[i]->elements) *
                               request.formats[i]->bytes);
  const std::vector<Panel> panels = panels_of(request);
  each(pool, panels.size(), [&](size_t i) {
    const Panel &panel = panels[i];
    const BlockFormat *format = request.formats[panel.matrix];
    std::vector<float> errors(panel.count * request.d);
    uint8_t *to = &answer.arrays[panel.matrix][panel.first * (request.d / format->elements) * format->bytes];
    round_rows(metric.rounding(format), &request.weights[row_of(request, panel) * request.d], panel.count, request.d,
               to, errors.data());
  });
  return answer;
}

/// What one type loses, by matrix.
std::vector<TierLoss> losses_of(const BlockRequest &request, const BlockFormat *format, const Metric &metric,
                                const MomentRoot &root, ThreadPool &pool) {
  const std::vector<Panel> panels = panels_of(request);
  std::vector<TierLoss> parts(panels.size()), losses(request.rows.size());
  each(pool, panels.size(), [&](size_t i) {
    const Panel &panel = panels[i];
    std::vector<float> errors(panel.count * request.d);
    std::vector<uint8_t> bytes(panel.count * (request.d / format->elements) * format->bytes);
    round_rows(metric.rounding(format), &request.weights[row_of(request, panel) * request.d], panel.count, request.d,
               bytes.data(), errors.data());
    parts[i].error = root.energy(errors.data(), panel.count);
    add_divergence(request.known, panel, request.rows[panel.matrix], errors.data(), request.d, parts[i]);
  });
  for (size_t i = 0; i < panels.size(); i++) {
    losses[panels[i].matrix].error += parts[i].error;
    losses[panels[i].matrix].divergence += parts[i].divergence / double(request.known.tokens);
  }
  return losses;
}

Answer losses_answer(const BlockRequest &request, ThreadPool &pool) {
  require_finite_weights(request.weights);
  const SecondMoment moment = moment_of(request.moment);
  const Metric metric = metric_of(request, moment);
  const MomentRoot root = root_of(moment);
  json errors = json::array(), divergences = json::array();
  for (const BlockFormat *format : request.formats) {
    json error = json::array(), divergence = json::array();
    for (const TierLoss &loss : losses_of(request, format, metric, root, pool)) {
      error.push_back(loss.error);
      divergence.push_back(loss.divergence);
    }
    errors.push_back(error);
    divergences.push_back(divergence);
  }
  Answer answer;
  answer.fields = {{"errors", errors}, {"divergences", divergences}};
  return answer;
}

}  // namespace

std::function<Answer()> read_blocks(const json &header, ThreadPool &pool) {
  const auto request = read_common(header);
  if (request->formats.size() != request->rows.size()) refuse("a matrix has no type");
  return [request, &pool] { return blocks_answer(*request, pool); };
}

std::function<Answer()> read_block_losses(const json &header, ThreadPool &pool) {
  const auto request = read_common(header);
  const json types = header.value("types", json::array());
  if (!types.is_array() || types.empty() || !request->formats.empty() || request->plain)
    refuse("'types' is not a list for all matrices alike");
  request->sampled = header.value("sampled", false);
  for (const json &name : types) request->formats.push_back(format_of(name, request->d));
  OutputGradients &known = request->known;
  known.tokens = dimension(header, "tokens");
  known.inputs = read_matrix(known.tokens, request->d);
  for (const size_t rows : request->rows) known.gradients.push_back(read_matrix(known.tokens, rows));
  return [request, &pool] { return losses_answer(*request, pool); };
}

}  // namespace gsic
