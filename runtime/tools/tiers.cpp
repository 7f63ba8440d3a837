#include "tiers.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>

#include "error.h"
#include "parallel.h"

namespace gsic {
namespace {

void quantize_all(ThreadPool &pool, Stack &stack, const Rounding &rounding) {
  const std::vector<Panel> panels = panels_of(stack);
  each(pool, panels.size(), [&](size_t i) {
    const Panel &panel = panels[i];
    quantize_rows(stack.row(panel.matrix, panel.first), panel.first, panel.count, rounding,
                  stack.matrices[panel.matrix]);
  });
}

/// The metric under what a correction along `b` [k, d] leaves of C.
TierMetric metric_along(const SecondMoment &moment, const TierSettings &settings, std::vector<double> b) {
  const Projection projection = settings.k == 0 ? Projection{} : projection_of(moment, b, settings.k);
  TierMetric metric;
  metric.directions = std::move(b);
  if (settings.feedback) {
    metric.feedback = feedback_of(moment, projection, settings.damping);
  } else {
    const std::vector<double> diagonal = projected_diagonal(moment, projection);
    metric.weights.assign(diagonal.begin(), diagonal.end());
  }
  return metric;
}

void quantize_under(ThreadPool &pool, Stack &stack, const TierSettings &settings, const TierMetric &metric) {
  const Feedback *feedback = settings.feedback ? &metric.feedback : nullptr;
  quantize_all(pool, stack, {settings.search, settings.feedback ? &feedback->weights : &metric.weights, feedback});
}

}  // namespace

void add_divergence(const OutputGradients &known, const Panel &panel, size_t out, const float *e, size_t d,
                    TierLoss &loss) {
  std::vector<float> images(known.tokens * panel.count);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(known.tokens), int(panel.count), int(d), 1,
              known.inputs.data(), int(d), e, int(d), 0, images.data(), int(panel.count));
  const std::vector<float> &gradients = known.gradients[panel.matrix];
  loss.tokens.assign(known.tokens, 0);
  for (size_t t = 0; t < known.tokens; t++)
    for (size_t r = 0; r < panel.count; r++) {
      const double image = double(images[t * panel.count + r]);
      const double change = image * double(gradients[t * out + panel.first + r]);
      loss.divergence += change * change / 2;
      loss.tokens[t] += image * image;
    }
}

TierMetric metric_of(const SecondMoment &moment, const TierSettings &settings) {
  return metric_along(moment, settings,
                      settings.k == 0 ? std::vector<double>() : leading_directions(moment, settings.k));
}

void quantize_stack(ThreadPool &pool, Stack &stack, const SecondMoment &moment, const TierSettings &settings,
                    const TierMetric &metric) {
  if (!std::all_of(stack.weights.begin(), stack.weights.end(), [](float value) { return std::isfinite(value); }))
    throw Error(GSIC_INVALID_ARGUMENT, "the weights hold values that are no finite numbers");
  quantize_under(pool, stack, settings, metric);
  if (settings.k == 0) return;
  std::vector<double> b = best_directions(pool, stack, moment, settings.k, metric.directions);
  for (size_t round = 1; round < settings.rounds; round++) {
    quantize_under(pool, stack, settings, metric_along(moment, settings, b));
    b = best_directions(pool, stack, moment, settings.k, b);
  }
  set_correction(pool, stack, moment, b, settings.k);
}

std::vector<TierLoss> losses_of(ThreadPool &pool, const Stack &stack, const MomentRoot &root, bool energies,
                                const OutputGradients *gradients) {
  const std::vector<Panel> panels = panels_of(stack);
  std::vector<float> b(stack.k() * stack.d);
  stack.b.dequantize(0, stack.k(), b.data(), stack.d);
  std::vector<TierLoss> parts(panels.size()), losses(stack.matrices.size());
  each(pool, panels.size(), [&](size_t i) {
    const Panel &panel = panels[i];
    std::vector<float> e(panel.count * stack.d);
    stack.error(panel.matrix, panel.first, panel.count, b, e.data());
    parts[i].error = root.energy(e.data(), panel.count);
    if (energies) parts[i].energy = root.energy(stack.row(panel.matrix, panel.first), panel.count);
    if (gradients != nullptr)
      add_divergence(*gradients, panel, stack.matrices[panel.matrix].rows, e.data(), stack.d, parts[i]);
  });
  for (size_t i = 0; i < panels.size(); i++) {
    TierLoss &loss = losses[panels[i].matrix];
    loss.error += parts[i].error;
    loss.energy += parts[i].energy;
    if (gradients == nullptr) continue;
    loss.divergence += parts[i].divergence / double(gradients->tokens);
    loss.tokens.resize(gradients->tokens);
    for (size_t t = 0; t < gradients->tokens; t++) loss.tokens[t] += parts[i].tokens[t];
  }
  return losses;
}

std::vector<float> sample_errors(ThreadPool &pool, const Stack &stack, const QuantizedMatrix &s,
                                 const std::vector<float> &samples) {
  constexpr size_t kSamples = 64;
  const size_t d = stack.d, n = samples.size() / d;
  std::vector<float> b(stack.k() * d), predictor(s.rows * d), result(3 * n);
  stack.b.dequantize(0, stack.k(), b.data(), d);
  s.dequantize(0, s.rows, predictor.data(), d);
  const std::vector<Panel> panels = panels_of(stack);
  each(pool, (n + kSamples - 1) / kSamples, [&](size_t block) {
    const size_t first = block * kSamples, count = std::min(kSamples, n - first);
    const float *x = &samples[first * d];
    std::vector<float> e(std::max(kPanelRows, s.rows) * d), images(std::max(kPanelRows, s.rows) * count);
    std::vector<double> sums(3 * kSamples);
    const auto add = [&](const float *rows, size_t m, double *to) {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(m), int(count), int(d), 1, rows, int(d), x, int(d), 0,
                  images.data(), int(count));
      for (size_t r = 0; r < m; r++)
        for (size_t i = 0; i < count; i++) to[i] += double(images[r * count + i]) * double(images[r * count + i]);
    };
    for (const Panel &panel : panels) {
      stack.error(panel.matrix, panel.first, panel.count, b, e.data());
      add(e.data(), panel.count, sums.data());
    }
    if (s.rows > 0) add(predictor.data(), s.rows, &sums[kSamples]);
    for (size_t i = 0; i < count; i++) {
      sums[2 * kSamples + i] = cblas_dsdot(int(d), x + i * d, 1, x + i * d, 1);
      for (size_t kind = 0; kind < 3; kind++) result[kind * n + first + i] = float(sums[kind * kSamples + i]);
    }
  });
  return result;
}

}  // namespace gsic
