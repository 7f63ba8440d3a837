#include "model.h"

#include <algorithm>

#include "error.h"

namespace gsic {
namespace {

constexpr uint32_t kMostThreads = 1024;
/// What abi.h promises to kernels, and room beyond it for whole vectors.
constexpr size_t kLeastScratch = 4096, kScratchMargin = 64;

}  // namespace

Model::Model(const std::string &path, const OpenOptions &options)
    : bundle_(path, options.verify_weights), manifest_(read_manifest(bundle_)), target_(&choose(options.target)) {
  if (options.threads > kMostThreads)
    throw Error(GSIC_INVALID_ARGUMENT, std::to_string(options.threads) + " threads are more than 1024");
  for (const std::string &mode : manifest_.modes) mode_list_ += (mode_list_.empty() ? "" : ",") + mode;
  device_ = open_cpu(options.threads, std::max<size_t>(manifest_.context, kLeastScratch) + kScratchMargin);
  weights_ = device_->share(bundle_.section("weights"));
  load_kernels();
  load_tokenizer();
}

const Target &Model::choose(const std::string &wanted) const {
  std::vector<std::string> tried;
  for (const Target &target : manifest_.targets) {
    const std::string missing = target.device == "cpu" ? missing_cpu_feature(target.features)
                                                       : "a device of kind '" + target.device + "'";
    if (missing.empty() && (wanted.empty() || wanted == target.name)) return target;
    tried.push_back(target.name + (missing.empty() ? "" : " (this machine has no " + missing + ")"));
  }
  const std::string subject = wanted.empty() ? "no target of the bundle runs on this machine"
                                             : "the target '" + wanted + "' cannot be used";
  throw Error(GSIC_NO_DEVICE, path() + ": " + subject + "; the bundle has: " + comma_separated(tried) +
                                  "; build the model with --target cpu-portable, or for this machine");
}

void Model::load_kernels() {
  module_ = device_->load(bundle_.section(target_->section), target_->section);
  for (const std::string &symbol : manifest_.kernels) {
    kernels_.push_back(module_->kernel(symbol));
    if (kernels_.back() == nullptr)
      bundle_.refuse(uint64_t(bundle_.section(target_->section).data - bundle_.bytes().data),
                     "the code of target '" + target_->name + "' lacks the kernel '" + symbol +
                         "'; build the model again");
  }
}

void Model::load_tokenizer() {
  const Bytes section = bundle_.find("tokenizer");
  if (section.data == nullptr) return;
  try {
    tokenizer_.emplace(Tokenizer::load(section.data, section.size));
  } catch (const Error &) {
    throw;
  } catch (const std::runtime_error &error) {
    bundle_.refuse(uint64_t(section.data - bundle_.bytes().data), std::string("tokenizer: ") + error.what());
  }
}

const Tokenizer &Model::require_tokenizer() const {
  if (tokenizer_) return *tokenizer_;
  throw Error(GSIC_NO_TOKENIZER,
              path() + ": the model was built without a tokenizer; give token ids instead of text");
}

const Program &Model::program(const std::string &mode) const {
  const auto found = manifest_.programs.find(mode.empty() ? manifest_.modes.front() : mode);
  if (found != manifest_.programs.end()) return found->second;
  throw Error(GSIC_INVALID_ARGUMENT, path() + ": there is no mode '" + mode + "'; the modes are: " + mode_list_);
}

}  // namespace gsic
