// A GPU as a device: memory is its own, each kernel is a code object of its own, and launches are captured into graphs.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "device.h"
#include "gpu_context.h"

namespace gsic {
namespace {

using Context = std::shared_ptr<GpuContext>;

/// Memory in which `write` leaves what is on its way to the device.
constexpr size_t kWriteRing = 64u << 10, kWriteStep = 64;
/// Weights go to the device in pieces of this size, through two buffers in turn.
constexpr size_t kPiece = 16u << 20;

/// The number in the environment variable GSIC_DEVICE; 0 where it is not set. Throws GSIC_INVALID_ARGUMENT.
uint32_t default_gpu() {
  const char *text = std::getenv("GSIC_DEVICE");
  if (text == nullptr || *text == '\0') return 0;
  const std::string value = text;
  if (value.size() > 4 || value.find_first_not_of("0123456789") != std::string::npos)
    throw Error(GSIC_INVALID_ARGUMENT, "GSIC_DEVICE: '" + value + "' is no number of a GPU",
                "set it to 0 for the first that the driver shows, or unset it");
  return uint32_t(std::stoul(value));
}

/// Memory of the device, or memory of the host that the device reaches directly.
class GpuMemory final : public DeviceMemory {
 public:
  GpuMemory(const Context &context, size_t bytes, const std::string &what, bool of_host)
      : context_(context), of_host_(of_host) {
    const Driver &driver = context_->driver();
    void *memory = nullptr;
    const int status = of_host ? context_->attempt(driver.host_allocate, &memory, bytes, 0u)
                               : context_->attempt(driver.memory_allocate, &memory, bytes);
    if (status == kDriverOutOfMemory && !of_host) context_->refuse_memory(bytes, what);
    if (status == kDriverOutOfMemory)
      throw Error(GSIC_OUT_OF_MEMORY, std::to_string(bytes) + " bytes are needed for " + what +
                                          ", of this machine's memory that the device can reach, and there are "
                                          "fewer: close other programs");
    if (status != 0) context_->fail(status, of_host ? driver.host_allocate.name : driver.memory_allocate.name);
    data_ = static_cast<uint8_t *>(memory);
  }
  ~GpuMemory() override {
    const auto lock = context_->enter_to_release();
    // What still runs may use it.
    context_->release(context_->driver().stream_synchronize, context_->stream());
    context_->release(of_host_ ? context_->driver().host_free : context_->driver().memory_free,
                      static_cast<void *>(data_));
  }
  GpuMemory(const GpuMemory &) = delete;
  GpuMemory &operator=(const GpuMemory &) = delete;

  uint8_t *address(uint64_t offset) const override { return data_ + offset; }

 private:
  Context context_;
  bool of_host_;
  uint8_t *data_ = nullptr;
};

/// One code object per kernel, as the driver loaded it. The driver gets copies on the heap: HIP looks up where a code
/// object is mapped from, and cannot read a file's path that holds a blank.
class GpuModule final : public Module {
 public:
  explicit GpuModule(const Context &context) : context_(context) {}
  ~GpuModule() override {
    const auto lock = context_->enter_to_release();
    context_->release(context_->driver().stream_synchronize, context_->stream());
    for (DriverHandle object : objects_) context_->release(context_->driver().module_unload, object);
  }
  GpuModule(const GpuModule &) = delete;
  GpuModule &operator=(const GpuModule &) = delete;

  void *kernel(size_t index) const override { return functions_[index]; }

  void add(const Kernel &kernel, Bytes code, const std::string &architecture) {
    const Driver &driver = context_->driver();
    objects_.reserve(objects_.size() + 1);
    DriverHandle object = nullptr, function = nullptr;
    const std::vector<uint8_t> &image = images_.emplace_back(code.data, code.data + code.size);
    const int loaded = context_->attempt(driver.module_load, &object, static_cast<const void *>(image.data()));
    if (loaded == kDriverOutOfMemory) context_->fail(loaded, driver.module_load.name);
    if (loaded != 0)
      throw Error(GSIC_NO_DEVICE, context_->name() + " refuses the kernel '" + kernel.symbol +
                                      "', which is built for " + architecture + ": " + driver.module_load.name + ": " +
                                      driver.text(loaded));
    objects_.push_back(object);
    const int found = context_->attempt(driver.module_function, &function, object, kernel.symbol.c_str());
    if (found != 0 && found != kDriverNotFound) context_->fail(found, driver.module_function.name);
    functions_.push_back(function);
  }

 private:
  Context context_;
  std::vector<DriverHandle> objects_, functions_;
  std::vector<std::vector<uint8_t>> images_;  ///< as long as the objects: a driver may read them again
};

/// Puts a launch on a stream.
void queue(GpuContext &context, const ResolvedLaunch &launch, DriverHandle stream) {
  // A driver reads as many as the kernel takes. The null behind them is for the mock driver, which cannot know.
  std::vector<void *> parameters;
  for (uint32_t i = 0; i < launch.argument_count; i++) parameters.push_back(const_cast<void **>(launch.arguments + i));
  parameters.push_back(nullptr);
  context.call(context.driver().launch, launch.kernel, launch.workgroups, 1u, 1u, launch.threads, 1u, 1u, 0u, stream,
               parameters.data(), static_cast<void **>(nullptr));
}

/// Launches as an instantiated graph.
class GpuGraph final : public Sequence {
 public:
  GpuGraph(const Context &context, const std::vector<ResolvedLaunch> &launches) : context_(context) {
    const Driver &driver = context_->driver();
    if (launches.empty()) return;
    const DriverHandle graph = record(launches);
    const int status = context_->attempt(driver.graph_instantiate, &instance_, graph, 0ull);
    context_->release(driver.graph_destroy, graph);
    if (status != 0) context_->fail(status, driver.graph_instantiate.name);
  }
  ~GpuGraph() override {
    if (instance_ == nullptr) return;
    const auto lock = context_->enter_to_release();
    context_->release(context_->driver().stream_synchronize, context_->stream());
    context_->release(context_->driver().graph_instance_destroy, instance_);
  }
  GpuGraph(const GpuGraph &) = delete;
  GpuGraph &operator=(const GpuGraph &) = delete;

  void run(uint32_t) override {
    const auto lock = context_->enter();
    if (instance_ != nullptr) context_->call(context_->driver().graph_launch, instance_, context_->stream());
  }

 private:
  DriverHandle record(const std::vector<ResolvedLaunch> &launches) {
    const Driver &driver = context_->driver();
    DriverHandle graph = nullptr;
    context_->call(driver.capture_begin, context_->stream(), kCaptureThreadLocal);
    try {
      for (const ResolvedLaunch &launch : launches) queue(*context_, launch, context_->stream());
    } catch (...) {
      if (context_->attempt(driver.capture_end, context_->stream(), &graph) == 0 && graph != nullptr)
        context_->release(driver.graph_destroy, graph);
      throw;
    }
    context_->call(driver.capture_end, context_->stream(), &graph);
    return graph;
  }

  Context context_;
  DriverHandle instance_ = nullptr;
};

class GpuDevice final : public Device {
 public:
  GpuDevice(DeviceKind kind, uint32_t number) : context_(std::make_shared<GpuContext>(kind, number)) {
    ring_ = staging(kWriteRing, "what is written to the device");
  }

  uint32_t threads() const override { return context_->units(); }
  std::string name() const override { return context_->name(); }

  void require_memory(uint64_t bytes, const std::string &what) override {
    const auto lock = context_->enter();
    context_->require_memory(bytes, what);
  }

  bool takes_memory_late() const override { return false; }

  std::unique_ptr<DeviceMemory> allocate(size_t bytes, const std::string &what) override {
    const auto lock = context_->enter();
    const size_t size = std::max<size_t>(bytes, 64);
    auto memory = std::make_unique<GpuMemory>(context_, size, what, false);
    context_->call(context_->driver().set_bytes, static_cast<void *>(memory->address(0)), static_cast<unsigned char>(0),
                   size, context_->stream());
    return memory;
  }

  std::unique_ptr<DeviceMemory> staging(size_t bytes, const std::string &what) override {
    const auto lock = context_->enter();
    auto memory = std::make_unique<GpuMemory>(context_, std::max<size_t>(bytes, 64), what, true);
    std::memset(memory->address(0), 0, bytes);
    return memory;
  }

  std::unique_ptr<DeviceMemory> share(Bytes bytes, const std::string &what) override {
    const auto lock = context_->enter();
    context_->require_memory(bytes.size, what);
    auto memory = std::make_unique<GpuMemory>(context_, std::max<size_t>(bytes.size, 64), what, false);
    const size_t piece = std::min(kPiece, std::max<size_t>(bytes.size, 64));
    const auto through = staging(2 * piece, "what is written to the device");
    for (size_t done = 0, turn = 0; done < bytes.size; done += piece, turn ^= 1) {
      const size_t size = std::min(piece, bytes.size - done);
      std::memcpy(through->address(turn * piece), bytes.data + done, size);
      synchronize();  // the other buffer is free again
      copy(memory->address(done), through->address(turn * piece), size);
    }
    synchronize();
    return memory;
  }

  void write(uint8_t *target, const void *source, size_t bytes) override {
    const auto lock = context_->enter();
    for (size_t done = 0; done < bytes;) {
      const size_t size = std::min(kWriteRing, bytes - done);
      if (written_ + size > kWriteRing) synchronize();
      std::memcpy(ring_->address(written_), static_cast<const uint8_t *>(source) + done, size);
      copy(target + done, ring_->address(written_), size);
      written_ += (size + kWriteStep - 1) / kWriteStep * kWriteStep;
      done += size;
    }
  }

  const void *read(const uint8_t *source, void *staging, size_t bytes) override {
    const auto lock = context_->enter();
    context_->call(context_->driver().copy_to_host, staging, static_cast<const void *>(source), bytes,
                   context_->stream());
    synchronize();
    return staging;
  }

  std::unique_ptr<Module> load(const Target &target, Bytes, const std::vector<Kernel> &kernels) override {
    const auto lock = context_->enter();
    auto module = std::make_unique<GpuModule>(context_);
    for (size_t i = 0; i < kernels.size(); i++) {
      if (kernels[i].launch->threads % context_->wave() != 0)
        throw Error(GSIC_NO_DEVICE, context_->name() + " has waves of " + std::to_string(context_->wave()) +
                                        " lanes, which the " + std::to_string(kernels[i].launch->threads) +
                                        " of the kernel '" + kernels[i].symbol + "' do not fill");
      module->add(kernels[i], target.code[i], target.architecture);
    }
    return module;
  }

  std::unique_ptr<Sequence> capture(const std::vector<ResolvedLaunch> &launches) override {
    const auto lock = context_->enter();
    return std::make_unique<GpuGraph>(context_, launches);
  }

  void *stream() const override { return context_->stream(); }

  void run(const std::vector<ResolvedLaunch> &launches, uint32_t, void *stream) override {
    const auto lock = context_->enter();
    for (const ResolvedLaunch &launch : launches) queue(*context_, launch, stream);
  }

  void copy_rows(Rows<uint8_t> target, Rows<const uint8_t> source, size_t rows, void *stream) override {
    const auto lock = context_->enter();
    const size_t shared = std::min(target.bytes, source.bytes);
    if (target.bytes > shared)
      context_->call(context_->driver().set_bytes, static_cast<void *>(target.data), static_cast<unsigned char>(0),
                     rows * target.bytes, stream);
    const bool contiguous = target.bytes == source.bytes;
    for (size_t row = 0; row < (contiguous ? 1 : rows); row++)
      context_->call(context_->driver().copy_on_device, static_cast<void *>(target.data + row * target.bytes),
                     static_cast<const void *>(source.data + row * source.bytes), contiguous ? rows * shared : shared,
                     stream);
  }

 private:
  void copy(uint8_t *target, const uint8_t *source, size_t bytes) {
    context_->call(context_->driver().copy_to_device, static_cast<void *>(target), static_cast<const void *>(source),
                   bytes, context_->stream());
  }

  /// Waits for everything so far; the ring is empty then.
  void synchronize() {
    context_->call(context_->driver().stream_synchronize, context_->stream());
    written_ = 0;
  }

  Context context_;
  std::unique_ptr<DeviceMemory> ring_;
  size_t written_ = 0;  ///< bytes of the ring that may be on their way
};

}  // namespace

std::unique_ptr<Device> open_gpu(DeviceKind kind, uint32_t number) {
  return std::make_unique<GpuDevice>(kind, number != 0 ? number : default_gpu());
}

}  // namespace gsic
