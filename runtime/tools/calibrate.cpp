// gsic-tool calibrate BUNDLE --ids-file F --window W --out stats.safetensors [--meta KEY=VALUE ...] [--threads N]
//                     [--sketch-from 8192] [--sketch-width 1024]
// Runs the dense model over windows of W tokens and gathers statistics of every tap:
// `<value>.count` I64 [1], `<value>.mean_squared_norm` F64 [1], `<value>.mean` F32 [d], and
// `<value>.second_moment` F32 [d, d], or from d = --sketch-from on `<value>.sketch.omega` and `<value>.sketch.product`,
// F32 [d, l] with l the smaller of --sketch-width and d, the product being E[x x^T] Omega.
#include <cblas.h>

#include <algorithm>
#include <map>
#include <memory>

#include "arguments.h"
#include "error.h"
#include "moments.h"
#include "parallel.h"
#include "safetensors.h"
#include "session.h"

namespace gsic {
namespace {

/// Memory for gathered tokens. Folding costs a pass over all sums, so the larger the blocks the better.
constexpr uint64_t kGatherBytes = uint64_t(512) << 20;

/// Tokens of a block: a multiple of 16, from 64 to 1024, that keeps to kGatherBytes where it can.
uint32_t block_tokens(const std::vector<Tap> &taps) {
  uint64_t width = 0;
  for (const Tap &tap : taps) width += tap.width;
  const uint64_t tokens = kGatherBytes / (width * sizeof(float));
  return uint32_t(std::clamp<uint64_t>(tokens, 64, 1024) / GSIC_MAX_COLUMNS * GSIC_MAX_COLUMNS);
}

/// Folds what all inputs gathered, on all workers: BLAS runs single-threaded inside each job.
void fold(HostWorkers &workers, std::vector<Moments> &inputs) {
  for (int stage = 0; stage < 2; stage++) {
    std::vector<Moments::Job> jobs;
    for (Moments &input : inputs)
      for (Moments::Job &job : input.jobs(stage)) jobs.push_back(std::move(job));
    workers.each(jobs.size(), [&](size_t i) { jobs[i](); });
  }
  for (Moments &input : inputs) input.clear();
}

void save(const std::string &path, const std::vector<Moments> &inputs,
          const std::map<std::string, std::string> &metadata) {
  std::vector<TensorHeader> headers;
  const auto append = [&](std::vector<TensorHeader> more) { headers.insert(headers.end(), more.begin(), more.end()); };
  for (const Moments &input : inputs) append(input.count_headers());
  for (const Moments &input : inputs) append(input.headers());
  SafetensorsWriter file(path, headers, metadata);
  for (const Moments &input : inputs) input.write_counts(file);
  for (const Moments &input : inputs) input.write(file);
  file.finish();
}

}  // namespace

void run_calibrate(const Arguments &arguments) {
  const std::vector<int32_t> ids = arguments.ids();
  const auto model = arguments.open_model();
  const size_t window = arguments.number("window", 1, model->manifest().context);
  openblas_set_num_threads(1);
  Session session(model, "exact");
  HostWorkers workers(*model);
  const std::vector<Tap> &taps = session.program().taps;
  if (taps.empty()) throw Error(GSIC_INVALID_ARGUMENT, model->path() + ": the bundle has no taps to calibrate from");

  const uint64_t sketch_from = arguments.number("sketch-from", 1, UINT32_MAX, 8192);
  const uint32_t sketch_width = uint32_t(arguments.number("sketch-width", 1, 65536, 1024));
  const uint32_t block = block_tokens(taps);
  std::map<uint32_t, Omega> omegas;
  std::vector<Moments> inputs;
  inputs.reserve(taps.size());
  for (const Tap &tap : taps) {
    const bool sketch = tap.width >= sketch_from;
    if (sketch) omegas.try_emplace(tap.width, tap.width, std::min(sketch_width, tap.width));
    inputs.emplace_back(tap.value, tap.width, block, sketch ? &omegas.at(tap.width) : nullptr);
  }
  Progress progress(ids.size());
  for (size_t begin = 0; begin < ids.size(); begin += window) {
    const size_t end = std::min(ids.size(), begin + window);
    session.rewind(0);
    for (size_t done = begin; done < end; done += GSIC_MAX_COLUMNS) {
      const size_t columns = std::min<size_t>(GSIC_MAX_COLUMNS, end - done);
      if (inputs.front().gathered() + columns > block) fold(workers, inputs);
      session.observe(ids.data() + done, columns, [&](size_t tap, const float *rows, uint32_t count) {
        inputs[tap].gather(rows, count, taps[tap].stride);
      });
      progress.report(done + columns);
    }
  }
  fold(workers, inputs);
  save(arguments.text("out"), inputs, arguments.metadata());
}

}  // namespace gsic
