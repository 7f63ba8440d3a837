// gsic-tool inputs BUNDLE --ids-file F --window W --most N --out F.safetensors [--meta KEY=VALUE ...] [--threads N]
// Runs the dense model over windows of W tokens and keeps the vectors of every linear input at some tokens: a tensor
// `<value>` F32 [n, d] of every tap. Of the tokens that have a successor in their window, T altogether, it takes
// n = min(N, T), evenly spaced: number floor((2 i + 1) T / 2 n) for i from 0 to n - 1. The metadata `positions` is a
// JSON list of their places in F, ascending. Vectors go to disk as they are computed: memory does not grow with N.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "error.h"
#include "safetensors.h"
#include "session.h"

namespace gsic {
namespace {

/// Places in a text of `tokens`, of which the last of every window predicts nothing.
std::vector<size_t> spaced_positions(size_t tokens, size_t window, size_t most) {
  const size_t whole = tokens / window, rest = tokens % window;
  const size_t predicted = whole * (window - 1) + (rest == 0 ? 0 : rest - 1), count = std::min(most, predicted);
  std::vector<size_t> positions;
  for (size_t i = 0; i < count; i++) {
    const size_t number = (2 * i + 1) * predicted / (2 * count);
    positions.push_back(number / (window - 1) * window + number % (window - 1));
  }
  return positions;
}

/// Appends tokens `begin` to before `end`, GSIC_MAX_COLUMNS at most, and writes the inputs of those among `positions`.
void observe(Session &session, const std::vector<int32_t> &ids, size_t begin, size_t end,
             const std::vector<size_t> &positions, ResumableWriter &file) {
  const std::vector<Tap> &taps = session.program().taps;
  const auto first = std::lower_bound(positions.begin(), positions.end(), begin);
  const auto last = std::lower_bound(first, positions.end(), end);
  session.observe(ids.data() + begin, end - begin, 0, taps.size(), [&](size_t i, const float *rows, uint32_t) {
    const uint64_t bytes = taps[i].width * sizeof(float);
    for (auto at = first; at != last; at++) {
      const float *x = rows + (*at - begin) * taps[i].stride;
      if (!std::all_of(x, x + taps[i].width, [](float value) { return std::isfinite(value); }))
        throw Error(GSIC_INTERNAL, taps[i].value + " holds values that are no numbers: the model's weights overflow");
      file.write(taps[i].value, x, bytes, uint64_t(at - positions.begin()) * bytes);
    }
  });
}

}  // namespace

void run_inputs(const Arguments &arguments) {
  const auto model = arguments.open_model();
  const std::vector<Tap> &taps = model->programs("exact").main->taps;
  if (taps.empty()) throw Error::at(model->path(), GSIC_INVALID_ARGUMENT, "the bundle has no taps to read inputs from");
  const std::vector<int32_t> ids = arguments.ids();
  const size_t window = arguments.number("window", 2, model->manifest().context);
  const std::vector<size_t> positions = spaced_positions(ids.size(), window, arguments.number("most", 1, 1u << 18));
  if (positions.empty()) throw Error(GSIC_INVALID_ARGUMENT, "--ids-file: one token predicts nothing", "give more");
  std::vector<TensorHeader> tensors;
  for (const Tap &tap : taps) tensors.push_back({tap.value, "F32", {positions.size(), tap.width}});
  std::map<std::string, std::string> metadata = arguments.metadata();
  metadata["positions"] = nlohmann::json(positions).dump();

  ResumableWriter file(arguments.text("out"), tensors, metadata, false);
  Session session(model, "exact");
  Progress progress(ids.size());
  for (size_t begin = 0; begin < ids.size(); begin += window) {
    const size_t end = std::min(ids.size(), begin + window);
    const auto wanted = std::lower_bound(positions.begin(), positions.end(), end);
    const size_t last = wanted == positions.begin() ? begin : std::max(begin, *(wanted - 1) + 1);
    session.rewind(0);
    for (size_t done = begin; done < last; done += GSIC_MAX_COLUMNS) {
      observe(session, ids, done, std::min<size_t>(last, done + GSIC_MAX_COLUMNS), positions, file);
      progress.report(done);
    }
    progress.report(end);
  }
  file.finish();
}

}  // namespace gsic
