// gsic-tool launches BUNDLE --jobs FILE [--repeat 5] [--target T]
// Times launches of a GPU bundle one by one, each as a captured sequence of itself, long enough for the clock.
//   cold    the weights are read from memory: the sequence takes turns with copies of them, so that more than
//           `cold_bytes` lie between two reads of the same bytes, and the read ceiling's buffer is read before it
//   cached  every launch of the sequence reads the same weights
// Weights are arbitrary: time does not depend on them, but through gates, which the file sets. FILE is JSON:
//   {columns, position, jobs: [{kernel: symbol, alone: bool, rotate: bool, arguments: [{buffer, offset, bytes, zero}],
//                               values: [{argument, type: "f32"|"f64", count, value}]}]}
// Arguments of the buffer `weights` are `bytes` of copies, or zeros that all copies share where `zero` is true; others
// are places in a session's buffers. `values` are written before every measurement. One JSON document on standard
// output, with the jobs in their order. Every repetition measures the read ceiling, then each job.
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>

#include "arguments.h"
#include "device_ceiling.h"
#include "error.h"
#include "step.h"

namespace gsic {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// Where a copy's matrices begin.
constexpr size_t kAlignment = 256;
/// How long a sequence should take, in seconds, and how many launches it may have.
constexpr double kSequenceSeconds = 2e-3;
constexpr size_t kFewTimed = 4, kMostTimed = 1024;

struct JobArgument {
  Buffer buffer;
  uint64_t offset, bytes;
  bool zero;
};

struct JobValue {
  size_t argument;
  std::vector<uint8_t> bytes;
};

/// One launch, and what was measured of it.
struct Job {
  uint32_t kernel;
  bool alone, rotate;
  std::vector<JobArgument> arguments;
  std::vector<JobValue> values;

  size_t copy_bytes = 0, copies = 1, cold_launches = 0, cached_launches = 0;
  std::vector<std::vector<void *>> pointers;  ///< by copy
  std::unique_ptr<Sequence> cold_sequence, cached_sequence;
  Samples cold, cached;
};

[[noreturn]] void refuse_launches(const std::string &what) { throw Error(GSIC_INVALID_ARGUMENT, "--jobs: " + what); }

template <class T> std::vector<uint8_t> repeated(size_t count, double value) {
  const std::vector<T> values(count, T(value));
  std::vector<uint8_t> bytes(count * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

JobArgument read_argument(const Manifest &manifest, const json &value) {
  const std::string name = value.at("buffer");
  for (size_t i = 0; i < kBuffers; i++) {
    if (name != kBufferNames[i]) continue;
    const JobArgument argument{Buffer(i), value.at("offset"), value.at("bytes"), value.at("zero")};
    if (argument.buffer != Buffer::weights && argument.offset >= manifest.buffer(argument.buffer))
      refuse_launches("an offset is beyond the buffer " + name);
    return argument;
  }
  refuse_launches("there is no buffer " + name);
}

Job read_job(const Manifest &manifest, const json &value) {
  Job job{};
  const std::string symbol = value.at("kernel");
  while (job.kernel < manifest.kernels.size() && manifest.kernels[job.kernel].symbol != symbol) job.kernel++;
  if (job.kernel == manifest.kernels.size()) refuse_launches("the bundle has no kernel " + symbol);
  job.alone = value.value("alone", false);
  job.rotate = value.at("rotate");
  for (const json &one : value.at("arguments")) job.arguments.push_back(read_argument(manifest, one));
  if (job.arguments.size() != manifest.kernels[job.kernel].arguments)
    refuse_launches("the kernel " + symbol + " takes another number of arguments");
  for (const json &one : value.at("values")) {
    const size_t argument = one.at("argument"), count = one.at("count");
    if (argument >= job.arguments.size()) refuse_launches("a value belongs to no argument of " + symbol);
    const double number = one.at("value");
    job.values.push_back(
        {argument, one.at("type") == "f64" ? repeated<double>(count, number) : repeated<float>(count, number)});
  }
  for (const JobArgument &one : job.arguments)
    if (one.buffer == Buffer::weights && !one.zero)
      job.copy_bytes += (one.bytes + kAlignment - 1) / kAlignment * kAlignment;
  return job;
}

/// Pseudo-random bytes that are finite, positive numbers in every weight type.
std::vector<uint8_t> arbitrary(size_t bytes) {
  std::vector<uint8_t> result((bytes + 7) / 8 * 8);
  uint64_t state = 0x9e3779b97f4a7c15u;
  for (size_t i = 0; i < result.size(); i += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    const uint64_t word = state & 0x3b3b3b3b3b3b3b3bu;
    std::memcpy(&result[i], &word, 8);
  }
  return result;
}

/// The memory and the sequences of all jobs.
class Bench {
 public:
  Bench(const Model &model, const json &document)
      : model_(model),
        device_(model.device()),
        ceiling_(model, *DeviceCeiling::kernel(model.manifest())),
        clock_(model.device()) {
    for (const json &one : document.at("jobs")) jobs_.push_back(read_job(model.manifest(), one));
    const StepLayout layout(model.manifest(), 1);
    for (size_t i = 1; i < kBuffers; i++) {
      const uint64_t bytes = model.manifest().buffer(Buffer(i));
      const uint64_t all = Buffer(i) == Buffer::cache  ? layout.entries() * bytes
                           : Buffer(i) == Buffer::step ? layout.bytes()
                                                       : bytes;
      buffers_[i] = device_.allocate(all, std::string("the measured ") + kBufferNames[i]);
    }
    const std::vector<uint8_t> activations = arbitrary(model.manifest().buffer(Buffer::arena));
    device_.write(buffers_[size_t(Buffer::arena)]->address(0), activations.data(),
                  model.manifest().buffer(Buffer::arena));
    columns_ = document.at("columns");
    write_step(layout, columns_, document.at("position"));
    size_t zeros = 0;
    for (const Job &job : jobs_)
      for (const JobArgument &one : job.arguments)
        if (one.zero) zeros = std::max<size_t>(zeros, one.bytes);
    zeros_ = device_.allocate(zeros, "zeros in place of weights");
    allocate_copies();
  }

  void run(size_t repeat) {
    Progress progress(uint64_t(repeat + 1) * jobs_.size());
    uint64_t done = 0;
    for (Job &job : jobs_) {
      prepare(job);
      progress.report(++done);
    }
    for (size_t i = 0; i < repeat; i++) {
      ceiling_.sample();
      for (Job &job : jobs_) {
        measure(job);
        progress.report(++done);
      }
    }
  }

  void describe(ordered_json &document) const {
    DeviceCeiling::describe(&ceiling_, document);
    // Either copies or, where they would be too many, the ceiling's buffer lie between two reads of a byte.
    const size_t cold_bytes = std::min(between_, ceiling_.bytes());
    document["cold_bytes"] = cold_bytes;
    document["cold_short"] = cold_bytes < DeviceCeiling::kBytes;
    document["jobs"] = ordered_json::array();
    for (const Job &job : jobs_)
      document["jobs"].push_back({{"cold", job.cold.json()},
                                  {"cached", job.cached.json()},
                                  {"copies", job.copies},
                                  {"cold_launches", job.cold_launches},
                                  {"cached_launches", job.cached_launches}});
  }

 private:
  /// A pass of that many columns of one sequence, all of whose logits are wanted.
  void write_step(const StepLayout &layout, uint32_t columns, size_t position) {
    const std::array<int32_t, GSIC_MAX_COLUMNS> ids = {};
    gsic_step step = step_of(ids.data(), std::min<uint32_t>(columns, GSIC_MAX_COLUMNS), position, layout);
    step.wanted = (1u << step.columns) - 1;
    const std::vector<int64_t> table = consecutive_blocks(model_.manifest().buffer(Buffer::cache), layout.entries());
    device_.write(buffers_[size_t(Buffer::step)]->address(0), &step, sizeof step);
    device_.write(buffers_[size_t(Buffer::step)]->address(layout.place(0)), table.data(),
                  table.size() * sizeof table[0]);
  }

  static size_t copies_of(const Job &job, size_t between) {
    if (job.copy_bytes == 0) return 1;
    return std::clamp<size_t>((between + job.copy_bytes - 1) / job.copy_bytes, 1, kMostTimed);
  }

  /// Room for the copies of any one job; jobs share it.
  void allocate_copies() {
    for (between_ = DeviceCeiling::kBytes; !weights_;) {
      size_t bytes = 64;
      for (const Job &job : jobs_) bytes = std::max(bytes, copies_of(job, between_) * job.copy_bytes);
      try {
        device_.require_memory(bytes, "copies of weights");
        const std::vector<uint8_t> content = arbitrary(bytes);
        weights_ = device_.share({content.data(), content.size()}, "copies of weights");
      } catch (const Error &error) {
        if (error.status() != GSIC_OUT_OF_MEMORY || between_ < 2) throw;
        between_ /= 2;
      }
    }
  }

  std::vector<void *> resolve(const Job &job, size_t copy) const {
    std::vector<void *> pointers;
    size_t place = copy * job.copy_bytes;
    for (const JobArgument &one : job.arguments) {
      if (one.buffer == Buffer::step && job.alone && columns_ == 1) {
        pointers.push_back(nullptr);
      } else if (one.buffer != Buffer::weights) {
        pointers.push_back(buffers_[size_t(one.buffer)]->address(one.offset));
      } else if (one.zero) {
        pointers.push_back(zeros_->address(0));
      } else {
        pointers.push_back(weights_->address(place));
        place += (one.bytes + kAlignment - 1) / kAlignment * kAlignment;
      }
    }
    return pointers;
  }

  /// So many launches, taking turns with the first `copies` copies.
  std::unique_ptr<Sequence> captured(const Job &job, size_t launches, size_t copies) const {
    std::vector<ResolvedLaunch> list;
    for (size_t i = 0; i < launches; i++)
      list.push_back(launch_of(model_, job.kernel, job.pointers[i % copies].data()));
    return device_.capture(list);
  }

  void write_values(const Job &job) {
    for (const JobValue &one : job.values)
      device_.write(static_cast<uint8_t *>(job.pointers[0][one.argument]), one.bytes.data(), one.bytes.size());
    clock_.wait();
  }

  /// Decides how long a job's sequences are.
  void prepare(Job &job) {
    job.copies = copies_of(job, between_);
    for (size_t i = 0; i < job.copies; i++) job.pointers.push_back(resolve(job, i));
    write_values(job);
    const auto few = captured(job, kFewTimed, 1);
    clock_.seconds(*few);
    const double once = clock_.seconds(*few) / kFewTimed;
    job.cached_launches = std::clamp(size_t(kSequenceSeconds / once), kFewTimed, kMostTimed);
    job.cached_sequence = captured(job, job.cached_launches, 1);
    if (!job.rotate || job.copy_bytes == 0) return;
    job.copies = std::min(job.copies, job.cached_launches);
    job.cold_launches = job.copies * std::max<size_t>(1, job.cached_launches / job.copies);
    job.cold_sequence = captured(job, job.cold_launches, job.copies);
  }

  void measure(Job &job) {
    write_values(job);
    if (job.cold_sequence) {
      ceiling_.flush();
      job.cold.add(clock_.seconds(*job.cold_sequence) / double(job.cold_launches));
    }
    clock_.seconds(*captured(job, 1, 1));  // the weights are in the caches now
    job.cached.add(clock_.seconds(*job.cached_sequence) / double(job.cached_launches));
  }

  const Model &model_;
  Device &device_;
  DeviceCeiling ceiling_;
  DeviceClock clock_;
  std::vector<Job> jobs_;
  std::array<std::unique_ptr<DeviceMemory>, kBuffers> buffers_;  ///< none for weights
  std::unique_ptr<DeviceMemory> weights_, zeros_;
  size_t between_ = 0;
  uint32_t columns_ = 0;
};

json read_jobs(const std::string &path) {
  std::ifstream file(path);
  if (!file) throw Error::at(path, GSIC_IO, "cannot be read");
  try {
    return json::parse(file);
  } catch (const json::exception &error) {
    refuse_launches(error.what());
  }
}

}  // namespace

void run_launches(const Arguments &arguments) {
  const auto model = arguments.open_model();
  if (!DeviceCeiling::kernel(model->manifest()))
    throw Error::at(model->path(), GSIC_INVALID_ARGUMENT,
                    "it has no kernel 'gsic_read': single launches are measured on GPUs, in bundles of this gsic",
                    "build the model again for one");
  const json jobs = read_jobs(arguments.text("jobs"));
  const size_t repeat = arguments.number("repeat", 1, 1000, 5);
  ordered_json document = {{"target", model->target().name},
                           {"device", model->device().name()},
                           {"units", model->device().threads()},
                           {"repeat", repeat}};
  try {
    Bench bench(*model, jobs);
    bench.run(repeat);
    bench.describe(document);
  } catch (const json::exception &error) {
    refuse_launches(error.what());
  }
  std::cout << document.dump(2) << std::endl;
}

}  // namespace gsic
