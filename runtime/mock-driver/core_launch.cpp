// The part of the mock driver that loads kernels, records launches, and runs them.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>

#include "core.h"
#include "settings.h"

namespace gsic_mock {
namespace {

constexpr unsigned kMostThreads = 1024;
constexpr size_t kMostArguments = 64;

}  // namespace

Status Core::load_module(void **module, const void *data, bool text) {
  const Lock lock(mutex_);
  if (ready() != kSuccess) return ready();
  if (capturing()) return kCaptureUnsupported;
  auto made = std::make_unique<LoadedModule>();
  if (text ? !read_ptx(data, made->image) : !read_elf(data, made->image)) return text ? kInvalidPtx : kInvalidImage;
  if (!text) {
    const std::string path = mapped_from(data);
    if (!path.empty() && access(path.c_str(), R_OK) != 0) return kFileNotFound;
    if (made->image.version > settings().code_object) return kInvalidImage;
  }
  if (!runs_on(made->image, settings().architecture)) return kNoBinaryForGpu;
  *module = made.get();
  modules_[*module] = std::move(made);
  return kSuccess;
}

Status Core::unload_module(void *module) {
  const Lock lock(mutex_);
  const Status status = flush();
  return modules_.erase(module) == 0 && status == kSuccess ? kInvalidHandle : status;
}

Status Core::find_function(void **function, void *module, const char *name) {
  const Lock lock(mutex_);
  if (ready() != kSuccess) return ready();
  const auto found = modules_.find(module);
  if (found == modules_.end()) return kInvalidHandle;
  if (kernels_ == nullptr) kernels_ = dlopen(settings().kernels.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (kernels_ == nullptr) std::fprintf(stderr, "gsic mock driver: GSIC_MOCK_KERNELS: %s\n", dlerror());
  void *symbol = kernels_ != nullptr ? dlsym(kernels_, name) : nullptr;
  if (symbol == nullptr || !found->second->image.has(name)) return kNotFound;
  auto made = std::make_unique<Function>(
      Function{name, reinterpret_cast<gsic_simulated_kernel>(symbol), found->second->image.most_lds});
  *function = made.get();
  found->second->functions.push_back(std::move(made));
  return kSuccess;
}

bool Core::owns(const Function *function) const {
  for (const auto &[handle, module] : modules_)
    for (const auto &known : module->functions)
      if (known.get() == function) return true;
  return false;
}

Status Core::launch(void *handle, const unsigned (&grid)[3], const unsigned (&block)[3], unsigned lds, void *stream,
                    void **arguments) {
  const Lock lock(mutex_);
  if (ready() != kSuccess) return ready();
  const auto *function = static_cast<const Function *>(handle);
  if (!owns(function)) return kInvalidHandle;
  const bool flat = grid[1] == 1 && grid[2] == 1 && block[1] == 1 && block[2] == 1;
  if (!flat || grid[0] == 0 || block[0] == 0 || block[0] > kMostThreads || lds != 0 || arguments == nullptr)
    return kInvalidValue;
  // gsic's runtime ends the list with a null; a driver knows the number from the code object.
  Launch launch{function, grid[0], block[0], {}};
  while (arguments[launch.arguments.size()] != nullptr && launch.arguments.size() < kMostArguments)
    launch.arguments.push_back(*static_cast<void **>(arguments[launch.arguments.size()]));
  Stream *found = stream_of(stream);
  if (found == nullptr || !found->capturing) return enqueue(stream, [this, launch] { return run(launch); });
  found->captured.push_back(std::move(launch));
  return kSuccess;
}

/// Runs the kernel on the memory behind the device pointers, and counts what it moved.
Status Core::run(const Launch &launch) {
  if (!owns(launch.function)) return lose(kLaunchFailure, "a kernel of a module that was unloaded");
  const size_t count = launch.arguments.size();
  std::vector<uint64_t> sizes(count), loaded(count), stored(count);
  std::vector<void *> pointers(count), parameters(count);
  std::vector<const uint8_t *> stale(count);
  const auto fail = [&](const std::string &what) {
    std::fprintf(stderr, "gsic mock driver: kernel %s: %s\n", launch.function->name.c_str(), what.c_str());
    return lose(kLaunchFailure, "kernel " + launch.function->name + ": " + what);
  };
  for (size_t i = 0; i < count; i++) {
    parameters[i] = &pointers[i];
    // A null leads nowhere: what a kernel reads there is out of bounds.
    if (launch.arguments[i] == nullptr) continue;
    sizes[i] = memory_.bytes_behind(launch.arguments[i]);
    pointers[i] = memory_.find(launch.arguments[i], 1);
    stale[i] = memory_.stale(launch.arguments[i]);
    if (pointers[i] == nullptr) return fail("argument " + std::to_string(i) + " is no pointer to device memory");
  }
  char message[256] = "no message";
  const gsic_simulation simulation = {launch.workgroups, launch.threads, uint32_t(launch.function->most_lds),
                                      uint32_t(count),   sizes.data(),   loaded.data(),
                                      stored.data(),     message,        sizeof message,
                                      stale.data()};
  if (launch.function->call(&simulation, parameters.data()) != 0) return fail(message);
  Account::Traffic &traffic = account_.kernel(launch.function->name, count);
  traffic.launches++;
  for (size_t i = 0; i < count; i++) {
    traffic.loaded[i] += loaded[i];
    traffic.stored[i] += stored[i];
  }
  if (++account_.launches == settings().lose_after) lose(kLaunchFailure, "the device was told to fail");
  return ready();
}

Status Core::begin_capture(void *stream) {
  const Lock lock(mutex_);
  if (ready() != kSuccess) return ready();
  Stream *found = stream_of(stream);
  if (found == nullptr) return kInvalidHandle;
  if (found->capturing || !settings().capture) return kCaptureUnsupported;
  found->capturing = true;
  found->invalid = false;
  found->captured.clear();
  return kSuccess;
}

Status Core::end_capture(void *stream, void **graph) {
  const Lock lock(mutex_);
  if (ready() != kSuccess) return ready();
  Stream *found = stream_of(stream);
  if (found == nullptr || !found->capturing) return kInvalidValue;
  found->capturing = false;
  *graph = nullptr;
  if (found->invalid) return kCaptureInvalidated;
  auto made = std::make_unique<Graph>(std::move(found->captured));
  *graph = made.get();
  graphs_[*graph] = std::move(made);
  return kSuccess;
}

Status Core::instantiate(void **instance, void *graph) {
  const Lock lock(mutex_);
  if (ready() != kSuccess) return ready();
  const auto found = graphs_.find(graph);
  if (found == graphs_.end()) return kInvalidValue;
  if (refuse_allocation(0)) return kOutOfMemory;
  auto made = std::make_unique<Graph>(*found->second);
  *instance = made.get();
  instances_[*instance] = std::move(made);
  return kSuccess;
}

Status Core::launch_graph(void *instance, void *stream) {
  const Lock lock(mutex_);
  if (instances_.count(instance) == 0) return ready() != kSuccess ? ready() : kInvalidValue;
  return enqueue(stream, [this, instance]() -> Status {
    const auto found = instances_.find(instance);
    if (found == instances_.end()) return lose(kLaunchFailure, "a graph that was destroyed");
    account_.graph_launches++;
    for (const Launch &launch : *found->second)
      if (const Status status = run(launch)) return status;
    return kSuccess;
  });
}

Status Core::destroy_graph(void *graph) {
  const Lock lock(mutex_);
  return graphs_.erase(graph) == 0 && ready() == kSuccess ? kInvalidValue : ready();
}

Status Core::destroy_instance(void *instance) {
  const Lock lock(mutex_);
  return instances_.erase(instance) == 0 && ready() == kSuccess ? kInvalidValue : ready();
}

}  // namespace gsic_mock
