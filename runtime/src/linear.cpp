#include "linear.h"

#include <algorithm>
#include <cstring>

#include "error.h"
#include "gsic/abi.h"
#include "launch.h"

namespace gsic {
namespace {

/// Bytes from one step to the next, and what a value in the arena is aligned to.
constexpr size_t kStepPitch = 512, kAlignment = 64;
static_assert(sizeof(gsic_step) <= kStepPitch);

size_t row_bytes(uint32_t floats) { return floats * sizeof(float); }

/// Whether a caller's rows can stand in for a block of the arena.
bool fits(const Block &block, const float *rows) {
  return block.width == block.stride && reinterpret_cast<uintptr_t>(rows) % kAlignment == 0;
}

}  // namespace

/// Holds the buffers for the length of a call. Throws GSIC_BUSY.
class Linears::Claim {
 public:
  explicit Claim(std::atomic<bool> &busy) : busy_(busy) {
    if (busy_.exchange(true, std::memory_order_acquire))
      throw Error(GSIC_BUSY, "another call on these linears is still running", "open them once per thread");
  }
  ~Claim() { busy_.store(false, std::memory_order_release); }
  Claim(const Claim &) = delete;
  Claim &operator=(const Claim &) = delete;

 private:
  std::atomic<bool> &busy_;
};

Linears::Linears(std::shared_ptr<const Model> model, const std::string &mode)
    : model_(std::move(model)), calls_(model_->programs(mode).main->linears) {
  if (calls_.empty())
    throw Error::at(model_->path(), GSIC_INVALID_ARGUMENT, "has no launches of linears alone",
                    "build the model again with this gsic");
  Device &device = model_->device();
  const Manifest &manifest = model_->manifest();
  arena_ = device.allocate(manifest.buffer(Buffer::arena), "the linears' values");
  counters_ = device.allocate(manifest.buffer(Buffer::counters), "the linears' counters");
  steps_ = device.allocate(GSIC_MAX_COLUMNS * kStepPitch, "the linears' steps");
  uint32_t widest = 1;
  for (const LinearCall &call : calls_) widest = std::max(widest, call.y.stride);
  staging_ = device.staging(GSIC_MAX_COLUMNS * row_bytes(widest), "the linears' results");
  write_steps();
}

void Linears::write_steps() {
  Device &device = model_->device();
  for (int32_t columns = 1; columns <= GSIC_MAX_COLUMNS; columns++) {
    gsic_step step = {};
    step.columns = columns;
    device.write(steps_->address(size_t(columns - 1) * kStepPitch), &step, sizeof step);
  }
  // Other streams do not wait for the device's own.
  device.read(steps_->address(0), staging_->address(0), sizeof(float));
}

const LinearCall &Linears::find(size_t call) const {
  if (call < calls_.size()) return calls_[call];
  throw Error(GSIC_INVALID_ARGUMENT, "there is no call " + std::to_string(call) + " of linears",
              "there are " + std::to_string(calls_.size()));
}

uint8_t *Linears::at(Buffer buffer, uint64_t offset) const {
  switch (buffer) {
    case Buffer::weights:
      return model_->weights(offset);
    case Buffer::arena:
      return arena_->address(offset);
    case Buffer::counters:
      return counters_->address(offset);
    case Buffer::step:
      return steps_->address(offset);
    case Buffer::cache:
      break;  // the manifest has none in calls
  }
  throw Error(GSIC_INTERNAL, "a call of linears needs a KV cache");
}

void Linears::launch(const LinearCall &call, uint32_t columns, uint8_t *x, uint8_t *y, void *stream) {
  size_t total = 0;
  for (const Launch &launch : call.launches) total += launch.arguments.size();
  std::vector<void *> arguments;
  arguments.reserve(total);
  std::vector<ResolvedLaunch> launches;
  for (const Launch &launch : call.launches) {
    void *const *first = arguments.data() + arguments.size();
    for (const auto &[buffer, offset] : launch.arguments) {
      if (buffer == Buffer::step && launch.alone && columns == 1)
        arguments.push_back(nullptr);
      else if (buffer == Buffer::step)
        arguments.push_back(steps_->address((columns - 1) * kStepPitch + offset));
      else if (buffer == Buffer::arena && offset == call.x.offset)
        arguments.push_back(x);
      else if (buffer == Buffer::arena && offset == call.y.offset)
        arguments.push_back(y);
      else
        arguments.push_back(at(buffer, offset));
    }
    launches.push_back(resolve_launch(*model_, launch, first));
  }
  model_->device().run(launches, columns, stream);
}

void Linears::write_input(const Block &block, const float *x, uint32_t columns) {
  std::vector<float> rows(size_t(columns) * block.stride);
  for (uint32_t j = 0; j < columns; j++)
    std::copy_n(x + size_t(j) * block.width, block.width, &rows[size_t(j) * block.stride]);
  model_->device().write(arena_->address(block.offset), rows.data(), rows.size() * sizeof(float));
}

void Linears::read_output(const Block &block, uint32_t columns, float *y) {
  const auto *rows = static_cast<const float *>(
      model_->device().read(arena_->address(block.offset), staging_->address(0), columns * row_bytes(block.stride)));
  for (uint32_t j = 0; j < columns; j++)
    std::copy_n(rows + size_t(j) * block.stride, block.width, y + size_t(j) * block.width);
}

void Linears::run(size_t index, const float *x, size_t columns, float *y) {
  const Claim claim(busy_);
  const LinearCall &call = find(index);
  uint8_t *input = arena_->address(call.x.offset), *output = arena_->address(call.y.offset);
  for (size_t done = 0; done < columns;) {
    const uint32_t some = uint32_t(std::min<size_t>(GSIC_MAX_COLUMNS, columns - done));
    write_input(call.x, x + done * call.x.width, some);
    launch(call, some, input, output, model_->device().stream());
    read_output(call.y, some, y + done * call.y.width);
    done += some;
  }
}

void Linears::enqueue(size_t index, const float *x, size_t columns, float *y, void *stream) {
  const Claim claim(busy_);
  const LinearCall &call = find(index);
  if (model_->target().device == DeviceKind::cpu)
    throw Error(GSIC_INVALID_ARGUMENT, "this model runs on the CPU, which has no streams", "use gsic_linears_run");
  for (size_t done = 0; done < columns;) {
    const uint32_t some = uint32_t(std::min<size_t>(GSIC_MAX_COLUMNS, columns - done));
    enqueue_pass(call, x + done * call.x.width, some, y + done * call.y.width, stream);
    done += some;
  }
}

void Linears::enqueue_pass(const LinearCall &call, const float *x, uint32_t columns, float *y, void *stream) {
  Device &device = model_->device();
  auto *input = reinterpret_cast<uint8_t *>(const_cast<float *>(x)), *output = reinterpret_cast<uint8_t *>(y);
  const bool direct_input = fits(call.x, x), direct_output = fits(call.y, y);
  uint8_t *from = direct_input ? input : arena_->address(call.x.offset);
  uint8_t *to = direct_output ? output : arena_->address(call.y.offset);
  if (!direct_input)
    device.copy_rows({from, row_bytes(call.x.stride)}, {input, row_bytes(call.x.width)}, columns, stream);
  launch(call, columns, from, to, stream);
  if (!direct_output)
    device.copy_rows({output, row_bytes(call.y.width)}, {to, row_bytes(call.y.stride)}, columns, stream);
}

}  // namespace gsic
