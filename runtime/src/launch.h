// A launch of a program with its kernel and pointers.
#ifndef GSIC_SRC_LAUNCH_H
#define GSIC_SRC_LAUNCH_H

#include <algorithm>

#include "model.h"

namespace gsic {

/// Parts of a worker's share of a launch's weights, each of which a near cache holds: half a megabyte, and more where
/// the columns themselves are large, since what a kernel prepares of them, such as integers, it prepares for each part.
inline uint32_t parts_of(const Launch &launch, uint32_t workers) {
  constexpr uint64_t kNear = 512u << 10, kValues = 4, kMost = 1u << 16;
  const uint64_t part = std::max(kNear, kValues * launch.value_bytes) * workers;
  return uint32_t(std::clamp<uint64_t>((launch.weight_bytes + part - 1) / part, 1, kMost));
}

/// `arguments` are where the launch's arguments lie; they outlive the result.
inline ResolvedLaunch resolve_launch(const Model &model, const Launch &launch, void *const *arguments) {
  ResolvedLaunch resolved{model.kernel(launch.kernel), arguments, uint32_t(launch.arguments.size())};
  if (const auto &shape = model.manifest().kernels[launch.kernel].launch) {
    const uint64_t held = uint64_t(shape->per_unit) * model.device().threads();
    resolved.workgroups = uint32_t(std::min<uint64_t>(shape->max_workgroups, held));
    resolved.threads = shape->threads;
  }
  return resolved;
}

}  // namespace gsic

#endif
