// The operator `linear` of PyTorch on CPUs, on PyTorch's stable ABI: one binary for 2.10 and every later version.
// Python (gsic/operators.py) opens builds and their linears, and hands them over; it calls the functions at the end.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "shared_calls.h"

// PyTorch's headers write messages with these. Libraries of GCC 8, which the wheel's tag promises to run with, lack
// them.
template std::basic_ostringstream<char>::basic_ostringstream();
template std::basic_stringstream<char>::basic_stringstream();

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using torch::stable::detail::StableLibrary;

constexpr const char *kSchema = "linear(Tensor x, int runner, int call, int column, int out, int sharers) -> Tensor";

/// Opened linears by their numbers; closed ones are null. Never freed: threads may run while the process ends.
struct Runners {
  std::mutex lock;
  std::vector<std::shared_ptr<gsic::SharedCalls>> all;
};

Runners &runners() {
  static Runners *const only = new Runners;
  return *only;
}

std::shared_ptr<gsic::SharedCalls> find(int64_t number) {
  const std::lock_guard<std::mutex> lock(runners().lock);
  const bool known = number >= 0 && size_t(number) < runners().all.size();
  std::shared_ptr<gsic::SharedCalls> found = known ? runners().all[size_t(number)] : nullptr;
  if (found == nullptr) throw std::runtime_error("gsic::linear: the model was restored, its linears are closed");
  return found;
}

std::string shape_of(const Tensor &x) {
  std::string text;
  for (const int64_t size : x.sizes()) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

bool is_floating(ScalarType type) {
  return type == ScalarType::Float || type == ScalarType::Half || type == ScalarType::BFloat16 ||
         type == ScalarType::Double;
}

/// W x + b for x [..., d]: [..., out] of x's type; columns `column` to `column + out` of what the call computes.
Tensor linear(const Tensor &x, int64_t runner, int64_t call, int64_t column, int64_t out, int64_t sharers) {
  const std::shared_ptr<gsic::SharedCalls> calls = find(runner);
  const gsic::CallShape &shape = calls->shape(call);
  const ScalarType type = x.scalar_type();
  if (x.dim() == 0 || x.size(x.dim() - 1) != shape.d || !is_floating(type))
    throw std::runtime_error("gsic::linear: x is " + shape_of(x) + (is_floating(type) ? "" : " of no floating type") +
                             ", expected floating numbers [..., " + std::to_string(shape.d) + "]");
  if (column < 0 || out < 1 || column + out > shape.width)
    throw std::runtime_error("gsic::linear: call " + std::to_string(call) + " has no such columns");
  const Tensor rows =
      torch::stable::contiguous(type == ScalarType::Float ? x : torch::stable::to(x, ScalarType::Float));
  std::vector<int64_t> sizes(x.sizes().begin(), x.sizes().end());
  sizes.back() = out;
  const Tensor y = torch::stable::new_empty(x, sizes, ScalarType::Float);
  const gsic::Part part{call, column, out, sharers};
  if (x.numel() > 0)
    calls->compute(part, static_cast<const float *>(rows.const_data_ptr()), size_t(x.numel() / shape.d),
                   static_cast<float *>(y.mutable_data_ptr()));
  return type == ScalarType::Float ? y : torch::stable::to(y, type);
}

thread_local std::string last_error;

}  // namespace

extern "C" {

/// Defines `linear`, with its kernel for CPUs, in PyTorch's namespace `name`, to the process's end. Null, or why not.
__attribute__((visibility("default"))) const char *gsic_torch_define(const char *name) {
  try {
    auto *const schema = new StableLibrary(StableLibrary::Kind::DEF, name, nullptr, "gsic", 0);
    schema->def(kSchema);
    auto *const kernels = new StableLibrary(StableLibrary::Kind::IMPL, name, "CPU", "gsic", 0);
    kernels->impl("linear", TORCH_BOX(&linear));
    return nullptr;
  } catch (const std::exception &error) {
    last_error = error.what();
    return last_error.c_str();
  }
}

/// The number of opened linears, of the library that has `functions`; `shapes` [count] are those of their calls.
__attribute__((visibility("default"))) int64_t gsic_torch_register(void *linears, gsic::LinearFunctions functions,
                                                                   const gsic::CallShape *shapes, size_t count) {
  const std::lock_guard<std::mutex> lock(runners().lock);
  runners().all.push_back(std::make_shared<gsic::SharedCalls>(linears, functions, shapes, count));
  return int64_t(runners().all.size()) - 1;
}

/// Forgets opened linears, once nobody computes with them: they may be closed then.
__attribute__((visibility("default"))) void gsic_torch_release(int64_t number) {
  std::shared_ptr<gsic::SharedCalls> found;
  {
    const std::lock_guard<std::mutex> lock(runners().lock);
    if (number < 0 || size_t(number) >= runners().all.size()) return;
    found.swap(runners().all[size_t(number)]);
  }
  if (found != nullptr) found->close();
}
}
