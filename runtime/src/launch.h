// A launch of a program with its kernel and pointers.
#ifndef GSIC_SRC_LAUNCH_H
#define GSIC_SRC_LAUNCH_H

#include <algorithm>

#include "model.h"

namespace gsic {

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
