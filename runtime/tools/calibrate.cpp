// gsic-tool calibrate BUNDLE --ids-file F --window W --out stats.safetensors [--meta KEY=VALUE ...] [--threads N]
//                     [--exact-bytes 67108864] [--sketch-width 1024] [--memory BYTES] [--resume 1] [--describe 1]
// Runs the dense model over windows of W tokens and gathers statistics of every tap:
// `<value>.count` I64 [1], `<value>.mean_squared_norm` F64 [1], `<value>.mean` F32 [d], and
// `<value>.second_moment` F32 [d, d], or where that takes more than --exact-bytes `<value>.sketch.product` F32 [d, l],
// E[x x^T] Omega with l the smaller of --sketch-width and d, and `<value>.sketch.seed` I64 [1] of Omega (sketch.h).
//
// Statistics take at most --memory bytes (3 GiB, or half of the free memory if that is less), or those of one input if
// it needs more: where all do not fit, inputs are taken in groups, and the text is run once for each, as far as the
// group reaches. The result does not depend on it. With --resume, groups that an earlier run of the same command
// finished are kept in OUT.partial, and an OUT that is there is left as it is. --describe prints what would be done, as
// JSON, and does nothing.
#include <cblas.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "error.h"
#include "moments.h"
#include "parallel.h"
#include "safetensors.h"
#include "session.h"

namespace gsic {
namespace {

/// Tokens of a block. Folding costs a pass over all sums, so blocks should be large; it is fixed, since the sums'
/// rounding depends on it.
constexpr uint32_t kBlock = 512;

/// What statistics may take: half of what is free, and 3 GiB at most.
uint64_t default_memory() {
  constexpr uint64_t kMost = uint64_t(3) << 30;
  std::ifstream info("/proc/meminfo");
  std::string key;
  uint64_t kilobytes = 0;
  while (info >> key >> kilobytes && key != "MemAvailable:") info.ignore(256, '\n');
  return info ? std::max<uint64_t>(1, std::min(kMost, kilobytes * 1024 / 2)) : kMost;
}

/// Taps `first` to before `last`, gathered in one pass over the text.
struct Group {
  size_t first, last;
  uint64_t bytes;  ///< of their sums, blocks and Omegas
};

/// What one run does: shapes of all taps, the file's tensors, and the groups.
struct Work {
  std::vector<MomentsShape> shapes;
  std::vector<TensorHeader> tensors;

  Work(const std::vector<Tap> &taps, uint64_t exact_bytes, uint32_t sketch_width) {
    for (const Tap &tap : taps) {
      const bool exact = uint64_t(tap.width) * tap.width * sizeof(float) <= exact_bytes;
      shapes.push_back({tap.value, tap.width, exact ? 0 : std::min(sketch_width, tap.width)});
    }
    const auto append = [&](std::vector<TensorHeader> more) {
      tensors.insert(tensors.end(), more.begin(), more.end());
    };
    for (const MomentsShape &shape : shapes) append(shape.count_headers());
    for (const MomentsShape &shape : shapes) append(shape.headers());
  }

  /// Groups of at most `memory` bytes, from tap `first` on; a tap that needs more is a group by itself.
  std::vector<Group> groups(size_t first, uint64_t memory) const {
    std::vector<Group> list;
    std::map<uint32_t, uint64_t> omegas;
    for (size_t i = first; i < shapes.size(); i++) {
      const auto bytes = [&] {
        const bool fresh = shapes[i].sketch != 0 && omegas.count(shapes[i].d) == 0;
        return shapes[i].bytes(kBlock) + (fresh ? uint64_t(shapes[i].d) * shapes[i].sketch * sizeof(float) : 0);
      };
      if (list.empty() || list.back().bytes + bytes() > memory) {
        list.push_back({i, i, 0});
        omegas.clear();
      }
      list.back().bytes += bytes();
      list.back().last = i + 1;
      if (shapes[i].sketch != 0) omegas[shapes[i].d] = 1;
    }
    return list;
  }
};

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

/// The text, and the model that reads it.
struct Reader {
  Session &session;
  HostWorkers &workers;
  const std::vector<int32_t> &ids;
  size_t window;
};

/// One pass over the text for one group, whose statistics it writes.
void gather(const Reader &reader, const Work &work, const Group &group, Progress &progress, uint64_t done_before,
            ResumableWriter &file) {
  const std::vector<Tap> &taps = reader.session.program().taps;
  const std::vector<int32_t> &ids = reader.ids;
  std::map<uint32_t, Omega> omegas;
  std::vector<Moments> inputs;
  inputs.reserve(group.last - group.first);
  for (size_t i = group.first; i < group.last; i++) {
    const MomentsShape &shape = work.shapes[i];
    if (shape.sketch != 0) omegas.try_emplace(shape.d, shape.d, shape.sketch);
    inputs.emplace_back(shape, kBlock, shape.sketch != 0 ? &omegas.at(shape.d) : nullptr);
  }
  for (size_t begin = 0; begin < ids.size(); begin += reader.window) {
    const size_t end = std::min(ids.size(), begin + reader.window);
    reader.session.rewind(0);
    for (size_t done = begin; done < end; done += GSIC_MAX_COLUMNS) {
      const size_t columns = std::min<size_t>(GSIC_MAX_COLUMNS, end - done);
      if (inputs.front().gathered() + columns > kBlock) fold(reader.workers, inputs);
      const auto visit = [&](size_t tap, const float *rows, uint32_t count) {
        inputs[tap - group.first].gather(rows, count, taps[tap].stride);
      };
      reader.session.observe(ids.data() + done, columns, group.first, group.last, visit);
      progress.report(done_before + done + columns);
    }
  }
  fold(reader.workers, inputs);
  std::map<std::string, int64_t> marks;
  for (const Moments &input : inputs) {
    input.write(file);
    marks.insert(input.mark());
  }
  file.complete(marks);
}

/// One line of JSON: `inputs`, of which `sketched`, `passes` over the text, and bytes: `statistics_bytes` of memory at
/// most, `session_bytes` of memory beside the weights, and `file_bytes` of the result.
void describe(const Model &model, const Work &work, const std::vector<Group> &groups) {
  uint64_t statistics = 0, session = 0, file = 0, sketched = 0;
  for (const Group &group : groups) statistics = std::max(statistics, group.bytes);
  const Manifest &manifest = model.manifest();
  for (Buffer buffer : {Buffer::arena, Buffer::step}) session += manifest.buffer(buffer);
  session += manifest.blocks(manifest.context) * manifest.buffer(Buffer::cache);
  for (const TensorHeader &tensor : work.tensors) file += tensor.bytes();
  for (const MomentsShape &shape : work.shapes) sketched += shape.sketch != 0;
  const nlohmann::json line = {{"inputs", work.shapes.size()},   {"sketched", sketched},     {"passes", groups.size()},
                               {"statistics_bytes", statistics}, {"session_bytes", session}, {"file_bytes", file}};
  std::printf("%s\n", line.dump().c_str());
}

}  // namespace

void run_calibrate(const Arguments &arguments) {
  const uint64_t exact_bytes = arguments.number("exact-bytes", 0, uint64_t(1) << 40, uint64_t(64) << 20);
  const uint32_t sketch_width = uint32_t(arguments.number("sketch-width", 1, 65536, 1024));
  const uint64_t memory = arguments.number("memory", 1, uint64_t(1) << 50, default_memory());
  const auto model = arguments.open_model();
  const std::vector<Tap> &taps = model->programs("exact").main->taps;
  if (taps.empty()) throw Error::at(model->path(), GSIC_INVALID_ARGUMENT, "the bundle has no taps to calibrate from");
  const Work work(taps, exact_bytes, sketch_width);
  if (arguments.number("describe", 0, 1, 0) == 1) return describe(*model, work, work.groups(0, memory));

  const std::vector<int32_t> ids = arguments.ids();
  const size_t window = arguments.number("window", 1, model->manifest().context);
  const bool resume = arguments.number("resume", 0, 1, 0) == 1;
  ResumableWriter file(arguments.text("out"), work.tensors, arguments.metadata(), resume);
  size_t first = 0;
  while (first < taps.size() && file.complete(work.shapes[first].mark())) first++;
  const std::vector<Group> groups = work.groups(first, memory);
  openblas_set_num_threads(1);
  Session session(model, "exact");
  HostWorkers workers(*model);
  const Reader reader{session, workers, ids, window};
  Progress progress(std::max<uint64_t>(1, ids.size() * groups.size()));
  for (size_t i = 0; i < groups.size(); i++) gather(reader, work, groups[i], progress, i * ids.size(), file);
  file.finish();
}

}  // namespace gsic
