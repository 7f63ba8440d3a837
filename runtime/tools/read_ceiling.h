// How fast this machine reads memory: the roof of a token's time.
#ifndef GSIC_TOOLS_READ_CEILING_H
#define GSIC_TOOLS_READ_CEILING_H

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "device.h"
#include "samples.h"

namespace gsic {

/// What bounds a token's time on a CPU, and a prompt's, sampled as often as is wanted: reading a buffer from end to
/// end, each worker its own contiguous part; a launch that does nothing; multiply-adds of registers.
class CpuCeiling {
 public:
  /// The buffer is as large as the weights, but between 512 MiB, beyond any cache, and 1 GiB, since a larger one would
  /// take the memory that the mapped weights of a large model stand in. Throws GSIC_OUT_OF_MEMORY.
  explicit CpuCeiling(const Manifest &manifest);

  /// Measures each of the three once.
  void sample(Device &device);
  /// Reads the buffer: what was in caches before is not any more.
  void flush(Device &device) const;
  /// Bytes per second.
  const Samples &bandwidth() const { return bandwidth_; }
  /// Seconds of a call on every worker that does nothing, and the barrier behind it.
  const Samples &launch() const { return launch_; }
  /// Adds to a document what DeviceCeiling::describe does, and multiply_adds_per_second: of f32, by all workers; null
  /// on machines that are not x86-64 with AVX2.
  void describe(nlohmann::ordered_json &document) const;

 private:
  Pages pages_;
  Samples bandwidth_, launch_, multiply_adds_;
};

/// Of a mapped file's resident pages, the share that huge pages map; null where /proc does not say, or nothing is
/// resident.
std::optional<double> huge_page_share(const std::string &path);

}  // namespace gsic

#endif
