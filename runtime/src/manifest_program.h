// The part of a manifest that says what a mode runs.
#ifndef GSIC_SRC_MANIFEST_PROGRAM_H
#define GSIC_SRC_MANIFEST_PROGRAM_H

#include "manifest.h"
#include "manifest_reader.h"

namespace gsic {

/// What every block of the cache is aligned to, as other buffers are.
constexpr uint64_t kCacheAlignment = 64;

/// No offset or size of a manifest is larger, and no count of tokens, rows or columns.
constexpr uint64_t kMostBytes = uint64_t(1) << 44;
constexpr uint64_t kMostTokens = 1u << 24;

/// The program at `at`, `value`; `manifest` has its buffers, kernels and sizes. Throws GSIC_BAD_BUNDLE.
Program read_program(const ManifestReader &reader, const Manifest &manifest, const nlohmann::json &value,
                     const std::string &at);

}  // namespace gsic

#endif
