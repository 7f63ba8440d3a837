// What bounds a token's time on a GPU, measured on it by the kernel `gsic_read`, which every GPU bundle carries beside
// its programs (templates/gpu/read.hbs): how fast it reads memory, and what a launch costs that does nothing.
#ifndef GSIC_TOOLS_DEVICE_CEILING_H
#define GSIC_TOOLS_DEVICE_CEILING_H

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "model.h"
#include "samples.h"

namespace gsic {

/// A launch of a kernel of the manifest, with as many workgroups as a program's launch of it would have.
ResolvedLaunch launch_of(const Model &model, uint32_t kernel, void *const *arguments);

/// Runs sequences to their end. Waiting and issuing cost some ten microseconds, which are part of what is measured.
class DeviceClock {
 public:
  /// Throws GSIC_OUT_OF_MEMORY.
  explicit DeviceClock(Device &device);
  /// Waits for everything so far.
  void wait();
  /// Seconds of one run.
  double seconds(Sequence &sequence);

 private:
  Device &device_;
  std::unique_ptr<DeviceMemory> probe_, staging_;
};

/// A buffer of the device that `gsic_read` reads from end to end.
class DeviceCeiling {
 public:
  /// More than the caches of any device hold, and more than 512 MiB.
  static constexpr size_t kBytes = size_t(640) << 20;

  /// None if the bundle has no such kernel: it was built for a CPU, or by an earlier gsic.
  static std::optional<uint32_t> kernel(const Manifest &manifest);
  /// Takes `kBytes` of the device, or half of them as often as is needed, so that as many stay free. Throws
  /// GSIC_OUT_OF_MEMORY where a mebibyte is too much.
  DeviceCeiling(const Model &model, uint32_t kernel);

  /// Measures each of the three once.
  void sample();
  /// Reads the buffer once, so that caches hold nothing else, and waits.
  void flush();
  size_t bytes() const { return bytes_; }
  const Samples &bandwidth() const { return bandwidth_; }

  /// Adds to a document: read_ceiling_bytes (the buffer's), read_ceiling_short (whether memory was too short for
  /// `kBytes`), read_ceiling_bytes_per_second, seconds_per_empty_launch (one of many dependent launches of a captured
  /// sequence), seconds_per_sequence (issuing and awaiting a sequence of one). Of no ceiling, nulls.
  static void describe(const DeviceCeiling *ceiling, nlohmann::ordered_json &document);

 private:
  std::unique_ptr<Sequence> captured(void *const *arguments, size_t launches) const;

  const Model &model_;
  uint32_t kernel_;
  size_t bytes_ = 0;
  std::unique_ptr<DeviceMemory> data_, parameters_, sink_;
  DeviceClock clock_;
  std::vector<void *> reading_, empty_;  ///< arguments of gsic_read
  std::unique_ptr<Sequence> once_, reads_, one_empty_, empties_;
  size_t read_count_ = 1, empty_count_ = 1;
  Samples bandwidth_, launch_, sequence_;
};

}  // namespace gsic

#endif
