// The CPU as a device: memory is the host's, a code object is a shared library, a launch is a function call on
// every worker of a thread pool.
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "device.h"
#include "error.h"
#include "gsic/abi.h"
#include "thread_pool.h"

namespace gsic {
namespace {

class HostMemory final : public DeviceMemory {
 public:
  HostMemory(size_t bytes, const std::string &what) : pages_(bytes, what), data_(pages_.data()) {}
  explicit HostMemory(Bytes bytes) : data_(const_cast<uint8_t *>(bytes.data)) {}
  uint8_t *address(uint64_t offset) const override { return data_ + offset; }

 private:
  Pages pages_;
  uint8_t *data_;
};

/// A file that exists as long as this object, and that the dynamic loader can open.
class CodeFile {
 public:
  CodeFile() {
    number_ = memfd_create("gsic-kernels", MFD_CLOEXEC);
    if (number_ >= 0) {
      path_ = "/proc/self/fd/" + std::to_string(number_);
      if (access(path_.c_str(), R_OK) == 0) return;
      close(number_);
    }
    const char *folder = std::getenv("TMPDIR");
    path_ = std::string(folder != nullptr ? folder : "/tmp") + "/gsic-XXXXXX";
    number_ = mkstemp(path_.data());
    if (number_ < 0) throw Error::at(path_, GSIC_IO, "cannot be made, to load kernels from: " + system_error_text());
    temporary_ = true;
  }
  ~CodeFile() {
    unlink_now();
    close(number_);
  }
  CodeFile(const CodeFile &) = delete;
  CodeFile &operator=(const CodeFile &) = delete;

  const std::string &path() const { return path_; }

  void write(Bytes code) {
    while (code.size > 0) {
      const ssize_t written = ::write(number_, code.data, code.size);
      if (written <= 0)
        throw Error::at(path_, GSIC_IO, "cannot be written, to load kernels from: " + system_error_text());
      code.data += written;
      code.size -= size_t(written);
    }
  }

  /// Removes the name of a temporary file; a library that is loaded from it stays.
  void unlink_now() {
    if (temporary_) unlink(path_.c_str());
    temporary_ = false;
  }

 private:
  int number_ = -1;
  std::string path_;
  bool temporary_ = false;
};

/// A shared library. Its file stays open: the loader knows libraries by path, and a descriptor's number is only
/// unique while it is open.
class Library final : public Module {
 public:
  Library(Bytes code, const std::string &name, const std::vector<Kernel> &kernels) {
    file_.write(code);
    handle_ = dlopen(file_.path().c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ == nullptr)
      throw Error(GSIC_BAD_BUNDLE, "the code of section '" + name + "' cannot be loaded: " + dlerror());
    file_.unlink_now();
    for (const Kernel &kernel : kernels) kernels_.push_back(dlsym(handle_, kernel.symbol.c_str()));
  }
  ~Library() override { dlclose(handle_); }

  void *kernel(size_t index) const override { return kernels_[index]; }

 private:
  CodeFile file_;
  void *handle_;
  std::vector<void *> kernels_;
};

/// The workers, and the lock that lets one sequence run at a time.
class Workers {
 public:
  Workers(uint32_t threads, size_t scratch_floats)
      : pool_(threads == 0 ? usable_cpus() : threads), stride_((scratch_floats + 15) / 16 * 16) {
    scratch_ = Pages(stride_ * pool_.size() * sizeof(float), "the workers' scratch memory");
    float *base = reinterpret_cast<float *>(scratch_.data());
    for (uint32_t i = 0; i < pool_.size(); i++) workers_.push_back({i, pool_.size(), base + i * stride_, stride_});
  }

  uint32_t count() const { return pool_.size(); }

  void run(const std::vector<ResolvedLaunch> &launches) {
    const std::lock_guard<std::mutex> lock(mutex_);
    pool_.run([&](uint32_t worker) {
      for (size_t i = 0; i < launches.size(); i++) {
        reinterpret_cast<gsic_cpu_kernel>(launches[i].kernel)(&workers_[worker], launches[i].arguments);
        if (i + 1 < launches.size()) pool_.barrier();
      }
    });
  }

 private:
  std::mutex mutex_;
  ThreadPool pool_;
  size_t stride_;
  Pages scratch_;
  std::vector<gsic_worker> workers_;
};

class CallSequence final : public Sequence {
 public:
  CallSequence(std::shared_ptr<Workers> workers, const std::vector<ResolvedLaunch> &launches)
      : workers_(std::move(workers)), launches_(launches) {}
  void run() override { workers_->run(launches_); }

 private:
  std::shared_ptr<Workers> workers_;
  std::vector<ResolvedLaunch> launches_;
};

class CpuDevice final : public Device {
 public:
  CpuDevice(uint32_t threads, size_t scratch_floats) : workers_(std::make_shared<Workers>(threads, scratch_floats)) {}

  uint32_t threads() const override { return workers_->count(); }
  // Pages are taken when they are first touched: what is free now says little.
  void require_memory(uint64_t, const std::string &) override {}
  std::unique_ptr<DeviceMemory> allocate(size_t bytes, const std::string &what) override {
    return std::make_unique<HostMemory>(bytes, what);
  }
  std::unique_ptr<DeviceMemory> share(Bytes bytes, const std::string &) override {
    return std::make_unique<HostMemory>(bytes);
  }
  std::unique_ptr<DeviceMemory> staging(size_t bytes, const std::string &what) override {
    return allocate(bytes, what);
  }
  void write(uint8_t *target, const void *source, size_t bytes) override { std::memcpy(target, source, bytes); }
  const void *read(const uint8_t *source, void *, size_t) override { return source; }
  std::unique_ptr<Module> load(const Target &target, Bytes section, const std::vector<Kernel> &kernels) override {
    return std::make_unique<Library>(section, target.section, kernels);
  }
  std::unique_ptr<Sequence> capture(const std::vector<ResolvedLaunch> &launches) override {
    return std::make_unique<CallSequence>(workers_, launches);
  }
  void *stream() const override { return nullptr; }
  void run(const std::vector<ResolvedLaunch> &launches, void *) override { workers_->run(launches); }
  void copy_rows(Rows<uint8_t> target, Rows<const uint8_t> source, size_t rows, void *) override {
    const size_t shared = std::min(target.bytes, source.bytes);
    for (size_t row = 0; row < rows; row++) {
      std::memcpy(target.data + row * target.bytes, source.data + row * source.bytes, shared);
      std::memset(target.data + row * target.bytes + shared, 0, target.bytes - shared);
    }
  }

 private:
  std::shared_ptr<Workers> workers_;
};

}  // namespace

std::unique_ptr<Device> open_cpu(uint32_t threads, size_t scratch_floats) {
  return std::make_unique<CpuDevice>(threads, scratch_floats);
}

}  // namespace gsic
