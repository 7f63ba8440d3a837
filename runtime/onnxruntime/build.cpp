#include "build.h"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <utility>

namespace gsic_onnxruntime {
namespace {

namespace fs = std::filesystem;

/// The one file of a folder with this beginning and this end.
std::string only_file(const fs::path &folder, const std::string &begin, const std::string &end) {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto &entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.size() < begin.size() + end.size()) continue;
    if (name.compare(0, begin.size(), begin) == 0 && name.compare(name.size() - end.size(), end.size(), end) == 0)
      found.push_back(entry.path().string());
  }
  if (error) throw std::runtime_error(folder.string() + ": " + error.message() + "; give the folder of a build");
  if (found.size() != 1)
    throw std::runtime_error(folder.string() + ": holds " + std::to_string(found.size()) + " files " + begin + "*" +
                             end + ", expected one; give the folder of a build");
  return found[0];
}

}  // namespace

/// The functions of a build's own lib<name>.so; it stays loaded until the process ends.
struct Library {
  explicit Library(const std::string &path) {
    handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == nullptr) throw std::runtime_error(dlerror());
    load(abi_version, "gsic_abi_version");
    if (const uint32_t version = abi_version(); version != GSIC_ABI_VERSION)
      throw std::runtime_error(path + ": is of version " + std::to_string(version) + " of gsic.h, expected " +
                               std::to_string(GSIC_ABI_VERSION) + "; build the model again");
    load(last_error, "gsic_last_error");
    load(open, "gsic_open");
    load(close, "gsic_close");
    load(linears_open, "gsic_linears_open");
    load(linears_close, "gsic_linears_close");
    load(linears_count, "gsic_linears_count");
    load(linears_describe, "gsic_linears_describe");
    load(linears_run, "gsic_linears_run");
  }

  decltype(gsic_abi_version) *abi_version;
  decltype(gsic_last_error) *last_error;
  decltype(gsic_open) *open;
  decltype(gsic_close) *close;
  decltype(gsic_linears_open) *linears_open;
  decltype(gsic_linears_close) *linears_close;
  decltype(gsic_linears_count) *linears_count;
  decltype(gsic_linears_describe) *linears_describe;
  decltype(gsic_linears_run) *linears_run;

 private:
  template <typename F> void load(F *&function, const char *name) {
    function = reinterpret_cast<F *>(dlsym(handle, name));
    if (function == nullptr) throw std::runtime_error(dlerror());
  }

  void *handle;
};

Build::Build(const std::string &folder)
    : folder_(folder), library_(std::make_unique<Library>(only_file(folder, "lib", ".so"))) {
  check(library_->open(only_file(folder, "", ".gsi").c_str(), nullptr, &model_));
}

Build::~Build() { library_->close(model_); }

void Build::check(gsic_status status) const {
  if (status != GSIC_OK) throw std::runtime_error(library_->last_error());
}

Linears::Linears(std::shared_ptr<const Build> build, const std::string &mode) : build_(std::move(build)) {
  const Library &library = build_->library();
  build_->check(library.linears_open(build_->model(), mode.empty() ? nullptr : mode.c_str(), &linears_));
  std::map<std::string, std::vector<gsic_linear_info>> parts;
  for (size_t i = 0; i < library.linears_count(linears_); i++) {
    gsic_linear_info info = {};
    library.linears_describe(linears_, i, &info);
    parts[info.tensor].push_back(info);
  }
  for (auto &[tensor, linears] : parts) {
    std::sort(linears.begin(), linears.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
    Columns columns = {linears[0].call, linears[0].d, linears[0].column, 0, linears[0].width};
    bool together = true;
    for (const gsic_linear_info &part : linears) {
      together = together && part.call == columns.call && part.column == columns.first + columns.count;
      columns.count += part.out;
    }
    if (together) by_tensor_.emplace(tensor, columns);
  }
}

Linears::~Linears() { build_->library().linears_close(linears_); }

const Columns &Linears::find(const std::string &tensor) const {
  const auto found = by_tensor_.find(tensor);
  if (found != by_tensor_.end()) return found->second;
  throw std::runtime_error(build_->folder() + ": has no linear of the tensor '" + tensor +
                           "'; `gsic inspect` lists its linears, or patch the ONNX model again");
}

void Linears::run(uint32_t call, const float *x, size_t rows, float *y) {
  const std::lock_guard<std::mutex> lock(turn_);
  build_->check(build_->library().linears_run(linears_, call, x, rows, y));
}

std::shared_ptr<Linears> open_linears(const std::string &folder, const std::string &mode) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<const Build>> builds;
  static std::map<std::pair<std::string, std::string>, std::weak_ptr<Linears>> opened;
  std::error_code unknown;
  const fs::path resolved = fs::weakly_canonical(folder, unknown);
  const std::string path = unknown ? folder : resolved.string();
  const std::lock_guard<std::mutex> lock(mutex);
  auto linears = opened[{path, mode}].lock();
  if (linears != nullptr) return linears;
  auto build = builds[path].lock();
  if (build == nullptr) builds[path] = build = std::make_shared<const Build>(path);
  opened[{path, mode}] = linears = std::make_shared<Linears>(build, mode);
  return linears;
}

}  // namespace gsic_onnxruntime
