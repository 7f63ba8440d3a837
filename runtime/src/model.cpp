#include "model.h"

#include <sys/utsname.h>

#include <algorithm>

#include "error.h"
#include "gsic/abi.h"

namespace gsic {
namespace {

constexpr uint32_t kMostThreads = 1024;
/// What abi.h promises to kernels, and room beyond it for whole vectors.
constexpr size_t kLeastScratch = 4096, kScratchMargin = 64;
/// More lets attention take several queries together: up to 4 MB a worker, of which pages are taken as they are used.
constexpr size_t kMostScratch = 1u << 20;

/// Floats of scratch of a worker.
size_t scratch_floats(size_t context) {
  const size_t one = std::max(context, kLeastScratch) + kScratchMargin;
  return std::max(one, std::min(GSIC_MAX_QUERIES * one, kMostScratch));
}

/// Throws GSIC_NO_DEVICE if this machine's CPU is not the target's.
void require_cpu(const Target &target) {
  struct utsname machine = {};
  const bool known = uname(&machine) == 0;
  if (target.architecture != "any" && known && target.architecture != machine.machine)
    throw Error(GSIC_NO_DEVICE, std::string("this machine is ") + machine.machine + ", not " + target.architecture);
  const std::string problem = why_not_on_this_cpu(target.features);
  if (!problem.empty()) throw Error(GSIC_NO_DEVICE, problem);
}

}  // namespace

Model::Model(const std::string &path, const OpenOptions &options)
    : bundle_(path, options.verify_weights), manifest_(read_manifest(bundle_)) {
  if (options.threads > kMostThreads)
    throw Error(GSIC_INVALID_ARGUMENT, std::to_string(options.threads) + " threads are more than 1024");
  for (const std::string &mode : manifest_.modes) mode_list_ += (mode_list_.empty() ? "" : ",") + mode;
  // All that can be refused is refused before code of the bundle runs.
  load_tokenizer();
  choose(options);
  weights_ = device_->share(bundle_.section("weights"), "the model's weights");
  bundle_.require_whole();
}

void Model::choose(const OpenOptions &options) {
  std::vector<std::string> tried;
  for (const Target &target : manifest_.targets) {
    if (!options.target.empty() && options.target != target.name) {
      tried.push_back(target.name);
      continue;
    }
    try {
      open(target, options);
      target_ = &target;
      return;
    } catch (const Error &error) {
      if (error.status() != GSIC_NO_DEVICE) throw;
      tried.push_back(target.name + " (" + error.what() + ")");
    }
  }
  const std::string subject = options.target.empty() ? "no target of the bundle runs on this machine"
                                                     : "the target '" + options.target + "' cannot be used";
  throw Error::at(path(), GSIC_NO_DEVICE, subject + "; the bundle has: " + comma_separated(tried),
                  std::string("build the model on this machine, or with --target cpu for all CPUs") +
                      (cpu_mask().empty() ? "" : ", or unset GSIC_CPU"));
}

void Model::open(const Target &target, const OpenOptions &options) {
  std::unique_ptr<Device> device;
  if (target.device == DeviceKind::cpu) {
    require_cpu(target);
    device = open_cpu(options.threads, scratch_floats(manifest_.context), options.sharing);
  } else {
    device = open_gpu(target.device, options.device);
  }
  const Bytes section = bundle_.section(target.section);
  // A GPU's code objects are the driver's to read, where they lie.
  const std::vector<uint8_t> copied =
      target.device == DeviceKind::cpu ? bundle_.copy(target.section) : std::vector<uint8_t>();
  const Bytes code = copied.empty() ? section : Bytes{copied.data(), copied.size()};
  std::unique_ptr<Module> module = device->load(target, code, manifest_.kernels);
  for (size_t i = 0; i < manifest_.kernels.size(); i++)
    if (module->kernel(i) == nullptr)
      bundle_.refuse(uint64_t(section.data - bundle_.bytes().data),
                     "the code of target '" + target.name + "' lacks the kernel '" + manifest_.kernels[i].symbol + "'",
                     "build the model again");
  device_ = std::move(device);
  module_ = std::move(module);
}

void Model::load_tokenizer() {
  const Bytes section = bundle_.find("tokenizer");
  if (section.data == nullptr) return;
  try {
    tokenizer_.emplace(Tokenizer::load(section.data, section.size));
  } catch (const Error &) {
    throw;
  } catch (const std::runtime_error &error) {
    bundle_.refuse(uint64_t(section.data - bundle_.bytes().data), std::string("tokenizer: ") + error.what(),
                   "build the model again with this gsic");
  }
}

const Tokenizer &Model::require_tokenizer() const {
  if (tokenizer_) return *tokenizer_;
  throw Error::at(path(), GSIC_NO_TOKENIZER, "the model was built without a tokenizer",
                  "give token ids instead of text");
}

ModePrograms Model::programs(const std::string &mode) const {
  const std::string name = mode.empty() ? manifest_.modes.front() : mode;
  const auto drafting = manifest_.drafting.find(name);
  if (drafting != manifest_.drafting.end())
    return {&manifest_.programs.at(drafting->second.verify), &manifest_.programs.at(drafting->second.draft)};
  const auto found = manifest_.programs.find(name);
  if (found != manifest_.programs.end()) return {&found->second};
  throw Error::at(path(), GSIC_INVALID_ARGUMENT, "there is no mode '" + name + "'", "the modes are: " + mode_list_);
}

}  // namespace gsic
