#include "device_ceiling.h"

#include <algorithm>
#include <cstring>

#include "arguments.h"
#include "error.h"
#include "gsic/abi.h"

namespace gsic {
namespace {

constexpr size_t kLeastBytes = 1u << 20;
/// How long a measured sequence should take, in seconds, so that issuing and awaiting it are a small part.
constexpr double kReadSeconds = 10e-3, kEmptySeconds = 5e-3;
constexpr size_t kMostReads = 64, kFewLaunches = 16, kMostLaunches = 2000;
/// Where gsic_read finds its step and the two lengths.
constexpr size_t kLengthPlace = 256;

struct Lengths {
  uint64_t all, none;
};

size_t times(double wanted, double once, size_t least, size_t most) {
  return std::clamp(size_t(wanted / std::max(once, 1e-9)) + 1, least, most);
}

}  // namespace

ResolvedLaunch launch_of(const Model &model, uint32_t kernel, void *const *arguments) {
  const Kernel &known = model.manifest().kernels[kernel];
  ResolvedLaunch launch{model.kernel(kernel), arguments, known.arguments};
  if (known.launch) {
    const uint64_t held = uint64_t(known.launch->per_unit) * model.device().threads();
    launch.workgroups = uint32_t(std::min<uint64_t>(known.launch->max_workgroups, held));
    launch.threads = known.launch->threads;
  }
  return launch;
}

DeviceClock::DeviceClock(Device &device)
    : device_(device), probe_(device.allocate(64, "a measurement")), staging_(device.staging(64, "a measurement")) {}

void DeviceClock::wait() { device_.read(probe_->address(0), staging_->address(0), 4); }

double DeviceClock::seconds(Sequence &sequence) {
  const double start = now();
  sequence.run(1);
  wait();
  return now() - start;
}

std::optional<uint32_t> DeviceCeiling::kernel(const Manifest &manifest) {
  for (uint32_t i = 0; i < manifest.kernels.size(); i++)
    if (manifest.kernels[i].symbol == "gsic_read" && manifest.kernels[i].launch) return i;
  return std::nullopt;
}

DeviceCeiling::DeviceCeiling(const Model &model, uint32_t kernel)
    : model_(model), kernel_(kernel), clock_(model.device()) {
  Device &device = model.device();
  for (bytes_ = kBytes; !data_;) {
    try {
      device.require_memory(2 * bytes_, "the buffer of the read ceiling, and as much beside it");
      data_ = device.allocate(bytes_, "the buffer of the read ceiling");
    } catch (const Error &error) {
      if (error.status() != GSIC_OUT_OF_MEMORY || bytes_ / 2 < kLeastBytes) throw;
      bytes_ /= 2;
    }
  }
  const ResolvedLaunch shape = launch_of(model, kernel, nullptr);
  sink_ = device.allocate(size_t(shape.workgroups) * shape.threads * sizeof(uint32_t), "sums of what is read");
  parameters_ = device.allocate(kLengthPlace + sizeof(Lengths), "the lengths that are read");
  const Lengths lengths{bytes_, 0};
  device.write(parameters_->address(kLengthPlace), &lengths, sizeof lengths);
  const auto arguments = [&](size_t length) {
    return std::vector<void *>{parameters_->address(0), data_->address(0), parameters_->address(kLengthPlace + length),
                               sink_->address(0)};
  };
  reading_ = arguments(offsetof(Lengths, all));
  empty_ = arguments(offsetof(Lengths, none));
  once_ = captured(reading_.data(), 1);
  one_empty_ = captured(empty_.data(), 1);
  clock_.seconds(*one_empty_);
  read_count_ = times(kReadSeconds, clock_.seconds(*once_), 1, kMostReads);
  reads_ = captured(reading_.data(), read_count_);
  const double few = clock_.seconds(*captured(empty_.data(), kFewLaunches)) / kFewLaunches;
  empty_count_ = times(kEmptySeconds, few, kFewLaunches, kMostLaunches);
  empties_ = captured(empty_.data(), empty_count_);
}

std::unique_ptr<Sequence> DeviceCeiling::captured(void *const *arguments, size_t launches) const {
  return model_.device().capture(std::vector<ResolvedLaunch>(launches, launch_of(model_, kernel_, arguments)));
}

void DeviceCeiling::sample() {
  bandwidth_.add(double(read_count_) * double(bytes_) / clock_.seconds(*reads_));
  launch_.add(clock_.seconds(*empties_) / double(empty_count_));
  sequence_.add(clock_.seconds(*one_empty_));
}

void DeviceCeiling::flush() { clock_.seconds(*once_); }

void DeviceCeiling::describe(const DeviceCeiling *ceiling, nlohmann::ordered_json &document) {
  const Samples none;
  document["read_ceiling_bytes"] = ceiling ? nlohmann::ordered_json(ceiling->bytes_) : nlohmann::ordered_json();
  document["read_ceiling_short"] = ceiling != nullptr && ceiling->bytes_ < kBytes;
  document["read_ceiling_bytes_per_second"] = (ceiling ? ceiling->bandwidth_ : none).json();
  document["seconds_per_empty_launch"] = (ceiling ? ceiling->launch_ : none).json();
  document["seconds_per_sequence"] = (ceiling ? ceiling->sequence_ : none).json();
}

}  // namespace gsic
