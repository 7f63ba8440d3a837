// The operator `Linear` of the domain `gsic` for ONNX Runtime, on its CPU provider:
//
//   x [..., d] f32  ->  one y [..., out] f32 for each tensor in `weights`, W x + b, with the bias that the build has
//
//   weights  tensors of the source model, separated by spaces; they must read one value (query, key, value; gate, up)
//   build    folder of the build; the session's entry `gsic.build` stands in for it
//   mode     "exact" or "bounded"; absent: the build's default; the session's entry `gsic.mode` stands in for it
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "abi.h"
#include "build.h"

namespace gsic_onnxruntime {
namespace {

/// A failure that ONNX Runtime itself told of.
struct Failed {
  ort::Status *status;
};

void check(ort::Status *status) {
  if (status != nullptr) throw Failed{status};
}

/// What `body` does; its exceptions become a status.
template <typename Body> ort::Status *guard(const ort::Api *api, Body body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const Failed &failed) {
    return failed.status;
  } catch (const std::bad_alloc &) {
    return ort::CreateStatus::in(api)(ort::kFail, "gsic::Linear: out of memory");
  } catch (const std::exception &error) {
    return ort::CreateStatus::in(api)(ort::kFail, (std::string("gsic::Linear: ") + error.what()).c_str());
  }
}

/// A text of ONNX Runtime's: `read` is asked for its size, then for the text.
template <typename Read> std::string text_of(Read read) {
  size_t size = 0;
  check(read(nullptr, &size));
  std::string text(size, '\0');
  check(read(text.data(), &size));
  text.resize(std::strlen(text.c_str()));
  return text;
}

/// An attribute of a node; empty where it has none.
std::string attribute(const ort::Api *api, const ort::KernelInfo *info, const char *name) {
  size_t size = 0;
  ort::Status *absent = ort::StringAttribute::in(api)(info, name, nullptr, &size);
  if (absent != nullptr) {
    ort::ReleaseStatus::in(api)(absent);
    return "";
  }
  return text_of([&](char *text, size_t *length) { return ort::StringAttribute::in(api)(info, name, text, length); });
}

std::string config_entry(const ort::Api *api, const ort::SessionOptions *options, const char *key) {
  int has = 0;
  check(ort::HasConfigEntry::in(api)(options, key, &has));
  if (has == 0) return "";
  return text_of([&](char *text, size_t *size) { return ort::ConfigEntry::in(api)(options, key, text, size); });
}

std::vector<int64_t> shape_of(const ort::Api *api, const ort::Value *value) {
  ort::ShapeInfo *info = nullptr;
  check(ort::TensorShape::in(api)(value, &info));
  const auto release = [&](ort::ShapeInfo *owned) { ort::ReleaseShape::in(api)(owned); };
  const std::unique_ptr<ort::ShapeInfo, decltype(release)> owner(info, release);
  size_t rank = 0;
  check(ort::DimensionsCount::in(api)(info, &rank));
  std::vector<int64_t> shape(rank);
  check(ort::Dimensions::in(api)(info, shape.data(), rank));
  return shape;
}

float *data_of(const ort::Api *api, const ort::Value *value) {
  void *data = nullptr;
  check(ort::TensorData::in(api)(const_cast<ort::Value *>(value), &data));
  return static_cast<float *>(data);
}

/// What a session says instead of its nodes; empty: nothing.
struct Settings {
  std::string build, mode;
  bool operator<(const Settings &other) const { return std::tie(build, mode) < std::tie(other.build, other.mode); }
};

/// One node of a graph. Keeps nothing between calls, so several threads may compute it.
class Kernel {
 public:
  /// Throws std::runtime_error, with what to do next.
  Kernel(const ort::Api *api, const ort::KernelInfo *info, const Settings &settings) : api_(api) {
    const std::string build = settings.build.empty() ? attribute(api, info, "build") : settings.build;
    const std::string mode = settings.mode.empty() ? attribute(api, info, "mode") : settings.mode;
    if (build.empty())
      throw std::runtime_error("names no build; set the attribute `build`, or the session's entry gsic.build");
    std::istringstream weights(attribute(api, info, "weights"));
    linears_ = open_linears(build, mode);
    for (std::string tensor; weights >> tensor;) outputs_.push_back(linears_->find(tensor));
    size_t outputs = 0;
    check(ort::OutputCount::in(api)(info, &outputs));
    if (outputs_.empty() || outputs_.size() != outputs)
      throw std::runtime_error("has " + std::to_string(outputs) + " outputs, and " + std::to_string(outputs_.size()) +
                               " tensors in the attribute `weights`; they are one each");
    for (const Columns &columns : outputs_)
      if (columns.call != outputs_[0].call)
        throw std::runtime_error("its `weights` do not read one value in the build; give each a node of its own");
  }

  void compute(ort::KernelContext *context) const {
    const ort::Value *input = nullptr;
    check(ort::Input::in(api_)(context, 0, &input));
    std::vector<int64_t> shape = shape_of(api_, input);
    const Columns &call = outputs_[0];
    if (shape.empty() || shape.back() != int64_t(call.d))
      throw std::runtime_error("its input is " + (shape.empty() ? "a scalar" : std::to_string(shape.back()) + " wide") +
                               ", and the linear reads " + std::to_string(call.d));
    size_t rows = 1;
    for (size_t i = 0; i + 1 < shape.size(); i++) rows *= size_t(shape[i]);
    std::vector<float *> outputs;
    for (size_t i = 0; i < outputs_.size(); i++) {
      shape.back() = outputs_[i].count;
      ort::Value *output = nullptr;
      check(ort::Output::in(api_)(context, i, shape.data(), shape.size(), &output));
      outputs.push_back(data_of(api_, output));
    }
    if (rows == 0) return;
    const float *x = data_of(api_, input);
    if (outputs.size() == 1 && call.count == call.width) return linears_->run(call.call, x, rows, outputs[0]);
    std::vector<float> y(rows * call.width);
    linears_->run(call.call, x, rows, y.data());
    for (size_t i = 0; i < outputs.size(); i++)
      for (size_t row = 0; row < rows; row++)
        std::memcpy(outputs[i] + row * outputs_[i].count, &y[row * call.width + outputs_[i].first],
                    outputs_[i].count * sizeof(float));
  }

  const ort::Api *api() const { return api_; }

 private:
  const ort::Api *api_;
  std::shared_ptr<Linears> linears_;
  std::vector<Columns> outputs_;
};

/// The operator as sessions of the same settings see it.
struct Operator : ort::CustomOp {
  explicit Operator(Settings given) : ort::CustomOp{}, settings(std::move(given)) {
    version = ort::kVersion;
    name = [](const ort::CustomOp *) { return "Linear"; };
    execution_provider = [](const ort::CustomOp *) -> const char * { return nullptr; };
    input_type = output_type = [](const ort::CustomOp *, size_t) { return ort::kFloat; };
    input_count = output_count = [](const ort::CustomOp *) { return size_t(1); };
    input_characteristic = [](const ort::CustomOp *, size_t) { return ort::kRequired; };
    output_characteristic = [](const ort::CustomOp *, size_t) { return ort::kVariadic; };
    input_memory = [](const ort::CustomOp *, size_t) { return ort::kDefaultMemory; };
    least_inputs = inputs_alike = least_outputs = outputs_alike = [](const ort::CustomOp *) { return 1; };
    create = create_kernel;
    compute = [](void *kernel, ort::KernelContext *context) {
      const auto *self = static_cast<const Kernel *>(kernel);
      return guard(self->api(), [&] { self->compute(context); });
    };
    destroy = [](void *kernel) { delete static_cast<Kernel *>(kernel); };
  }

  static ort::Status *create_kernel(const ort::CustomOp *op, const ort::Api *api, const ort::KernelInfo *info,
                                    void **kernel) {
    return guard(api, [&] {
      const std::string node =
          text_of([&](char *text, size_t *size) { return ort::NodeName::in(api)(info, text, size); });
      try {
        *kernel = new Kernel(api, info, static_cast<const Operator *>(op)->settings);
      } catch (const std::runtime_error &error) {
        throw std::runtime_error("node '" + node + "': " + error.what());
      }
    });
  }

  Settings settings;
};

/// The domain with the operator, for sessions of these settings. Lives until the process ends, as sessions keep it.
ort::Domain *domain_for(const ort::Api *api, const Settings &settings) {
  struct Registered {
    std::unique_ptr<Operator> op;
    ort::Domain *domain;
  };
  static std::mutex mutex;
  static std::map<Settings, Registered> registered;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto known = registered.find(settings);
  if (known != registered.end()) return known->second.domain;
  Registered made = {std::make_unique<Operator>(settings), nullptr};
  check(ort::CreateDomain::in(api)("gsic", &made.domain));
  check(ort::AddOperator::in(api)(made.domain, made.op.get()));
  return registered.emplace(settings, std::move(made)).first->second.domain;
}

}  // namespace
}  // namespace gsic_onnxruntime

/// What ONNX Runtime calls when it loads this library for a session. The session's entries are read now, so they must
/// have been set.
extern "C" __attribute__((visibility("default"))) ort::Status *RegisterCustomOps(ort::SessionOptions *options,
                                                                                 const ort::ApiBase *base) {
  using namespace gsic_onnxruntime;
  const ort::Api *api = base->get_api(ort::kVersion);
  if (api == nullptr)
    return ort::CreateStatus::in(base->get_api(1))(ort::kFail, "gsic::Linear: needs ONNX Runtime 1.16 or later");
  return guard(api, [&] {
    const Settings settings = {config_entry(api, options, "gsic.build"), config_entry(api, options, "gsic.mode")};
    check(ort::AddDomain::in(api)(options, domain_for(api, settings)));
  });
}
