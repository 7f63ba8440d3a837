#include "manifest.h"

#include <algorithm>

#include "gsic/abi.h"
#include "manifest_program.h"
#include "sizes.h"

namespace gsic {

const std::array<const char *, kBuffers> kBufferNames = {"weights", "arena", "cache", "step", "counters"};

const Tap *Program::hidden() const {
  if (taps.empty() || head.empty() || taps.back().after + 1 != body.size()) return nullptr;
  const auto is_read = [this](const Argument &argument) {
    return argument.buffer == Buffer::arena && argument.offset == taps.back().offset;
  };
  const std::vector<Argument> &read = head.front().arguments;
  return std::any_of(read.begin(), read.end(), is_read) ? &taps.back() : nullptr;
}

const std::array<const char *, 3> kDeviceNames = {"cpu", "hip", "cuda"};

namespace {

using nlohmann::json;

constexpr uint64_t kMostArguments = 64;
constexpr uint64_t kMostCacheBlock = 1u << 16;
/// Lanes of a workgroup come in waves of 32 or 64; devices take at most 1024.
constexpr uint64_t kWave = 32, kMostLanes = 1024;
constexpr uint64_t kMostLds = 160u << 10;
constexpr uint64_t kMostWorkgroups = 1u << 24;
/// Where an ELF image begins, so that a driver can read it in place.
constexpr uint64_t kImageAlignment = 4096;

/// Kernels write at every position before the context's end, and read a row of tables for it, by what they were
/// compiled for: blocks of the cache must hold their positions, and the context end where tables do.
void check_positions(const ManifestReader &reader, const Manifest &manifest) {
  const uint64_t token = reader.number(reader.root(), "manifest", "cacheBytesPerToken", 0, kMostBytes);
  const std::optional<uint64_t> needed = checked_product({manifest.cache_block, token});
  const uint64_t block = manifest.buffer(Buffer::cache);
  if (!needed || *needed > block)
    reader.refuse("cacheBlock", "is " + std::to_string(manifest.cache_block) + " positions of " +
                                    std::to_string(token) + " bytes, but a block has " + std::to_string(block) +
                                    " bytes");
  const uint64_t rows = reader.number(reader.root(), "manifest", "tablePositions", 1, kMostTokens);
  if (manifest.context > rows)
    reader.refuse("context",
                  "is " + std::to_string(manifest.context) + ", but tables end at position " + std::to_string(rows));
}

void read_buffers(const ManifestReader &reader, Manifest &manifest) {
  const json &buffers = reader.member(reader.root(), "manifest", "buffers");
  for (size_t i = 0; i < kBuffers; i++)
    manifest.buffers[i] = reader.number(buffers, "buffers", kBufferNames[i], 0, kMostBytes);
  const uint64_t weights = reader.bundle().section("weights").size;
  if (manifest.buffer(Buffer::weights) != weights)
    reader.refuse("buffers.weights", "is not the size of the section 'weights', " + std::to_string(weights) + " bytes");
  if (!checked_product({manifest.buffer(Buffer::cache), manifest.blocks(manifest.context)}))
    reader.refuse("buffers.cache", "is too large for " + std::to_string(manifest.context) + " tokens");
  if (manifest.buffer(Buffer::cache) % kCacheAlignment != 0) reader.refuse("buffers.cache", "is not a multiple of 64");
  if (manifest.buffer(Buffer::step) < sizeof(gsic_step)) reader.refuse("buffers.step", "is too small for a step");
  check_positions(reader, manifest);
}

LaunchShape read_shape(const ManifestReader &reader, const json &value, const std::string &at) {
  const auto number = [&](const char *key, uint64_t least, uint64_t most) {
    return uint32_t(reader.number(value, at, key, least, most));
  };
  const LaunchShape shape{number("threads", kWave, kMostLanes), number("lds", 0, kMostLds),
                          number("maxWorkgroups", 1, kMostWorkgroups), number("perUnit", 1, kMostWorkgroups)};
  if (shape.threads % kWave != 0)
    reader.refuse(at + ".threads", "is " + std::to_string(shape.threads) + ", expected a multiple of 32");
  return shape;
}

void read_kernels(const ManifestReader &reader, Manifest &manifest) {
  for (const json &value : reader.list(reader.root(), "manifest", "kernels")) {
    const std::string at = indexed("kernels", manifest.kernels.size());
    Kernel kernel{reader.text(value, at, "symbol"), 0, std::nullopt};
    if (kernel.symbol.empty()) reader.refuse(at + ".symbol", "is not the name of a function");
    const json &arguments = reader.list(value, at, "arguments");
    if (arguments.empty() || arguments.size() > kMostArguments)
      reader.refuse(at + ".arguments", "does not have 1 to 64 entries");
    for (; kernel.arguments < arguments.size(); kernel.arguments++) {
      const std::string here = indexed(at + ".arguments", kernel.arguments);
      reader.text(arguments[kernel.arguments], here, "name");
      reader.text(arguments[kernel.arguments], here, "type");
    }
    const json &shape = reader.member(value, at, "launch");
    if (!shape.is_null()) kernel.launch = read_shape(reader, shape, at + ".launch");
    manifest.kernels.push_back(std::move(kernel));
  }
  if (manifest.kernels.empty()) reader.refuse("kernels", "is empty");
}

/// The code objects of a GPU's target: one for each kernel, in order, without overlap.
std::vector<Bytes> read_code(const ManifestReader &reader, const Manifest &manifest, const json &target,
                             const std::string &at, DeviceKind device, Bytes section) {
  std::vector<Bytes> code;
  uint64_t end = 0;
  for (const json &value : reader.list(target, at, "code")) {
    const std::string here = indexed(at + ".code", code.size());
    const uint64_t offset = reader.number(value, here, "offset", end, kMostBytes);
    const uint64_t bytes = reader.number(value, here, "bytes", 1, kMostBytes);
    if (!range_fits(offset, bytes, section.size))
      reader.refuse(here, "of " + std::to_string(bytes) + " bytes at " + std::to_string(offset) +
                              " is not inside its section of " + std::to_string(section.size) + " bytes");
    if (device == DeviceKind::hip && offset % kImageAlignment != 0)
      reader.refuse(here + ".offset", "is " + std::to_string(offset) + ", expected a multiple of 4096");
    code.push_back({section.data + offset, size_t(bytes)});
    // A driver reads PTX up to its NUL.
    if (device == DeviceKind::cuda && code.back().data[bytes - 1] != 0) reader.refuse(here, "does not end with a NUL");
    end = offset + bytes;
  }
  if (code.size() != manifest.kernels.size())
    reader.refuse(at + ".code", "has " + std::to_string(code.size()) + " entries, expected one for each of " +
                                    std::to_string(manifest.kernels.size()) + " kernels");
  return code;
}

DeviceKind read_device(const ManifestReader &reader, const json &target, const std::string &at) {
  const std::string name = reader.text(target, at, "device");
  const auto found = std::find(kDeviceNames.begin(), kDeviceNames.end(), name);
  if (found == kDeviceNames.end()) reader.refuse(at + ".device", "is '" + name + "', expected cpu, hip or cuda");
  return DeviceKind(found - kDeviceNames.begin());
}

/// CPUs launch every kernel on all workers; a GPU needs to know the shape of each.
void check_shapes(const ManifestReader &reader, const Manifest &manifest, const Target &target, const std::string &at) {
  for (size_t i = 0; i < manifest.kernels.size(); i++)
    if (manifest.kernels[i].launch.has_value() == (target.device == DeviceKind::cpu))
      reader.refuse(indexed("kernels", i) + ".launch",
                    "does not fit " + at + ".device, which is '" + kDeviceNames[size_t(target.device)] + "'");
}

void read_targets(const ManifestReader &reader, Manifest &manifest) {
  for (const json &value : reader.list(reader.root(), "manifest", "targets")) {
    const std::string at = indexed("targets", manifest.targets.size());
    Target target{reader.text(value, at, "name"),         read_device(reader, value, at),
                  reader.text(value, at, "architecture"), reader.texts(value, at, "features"),
                  reader.text(value, at, "section"),      {}};
    const Bytes section = reader.bundle().section(target.section);
    if (target.device != DeviceKind::cpu)
      target.code = read_code(reader, manifest, value, at, target.device, section);
    else if (!reader.member(value, at, "code").is_null())
      reader.refuse(at + ".code", "is not null, but a CPU's code is one shared object");
    check_shapes(reader, manifest, target, at);
    manifest.targets.push_back(std::move(target));
  }
  if (manifest.targets.empty()) reader.refuse("targets", "is empty");
}

/// Which programs a mode without one of its own runs: the one that drafts is a mode itself.
Drafting read_drafting(const ManifestReader &reader, const Manifest &manifest, const json &value,
                       const std::string &at) {
  const Drafting drafting{reader.text(value, at, "draft"), reader.text(value, at, "verify")};
  const json &others = reader.member(reader.root(), "manifest", "drafting");
  const std::string &draft = drafting.draft, &verify = drafting.verify;
  if (std::count(manifest.modes.begin(), manifest.modes.end(), draft) == 0 || others.contains(draft))
    reader.refuse(at, "names '" + draft + "', which is no mode with a program");
  const json &programs = reader.member(reader.root(), "manifest", "programs");
  if (!programs.is_object() || !programs.contains(verify) || others.contains(verify))
    reader.refuse(at, "names '" + verify + "', which is no program");
  return drafting;
}

void read_programs(const ManifestReader &reader, Manifest &manifest) {
  const json &root = reader.root();
  manifest.modes = reader.texts(root, "manifest", "modes");
  const auto first = std::find(manifest.modes.begin(), manifest.modes.end(), reader.text(root, "", "defaultMode"));
  if (first == manifest.modes.end()) reader.refuse("defaultMode", "is not among the modes");
  std::rotate(manifest.modes.begin(), first, first + 1);
  const json &programs = reader.member(root, "manifest", "programs");
  const json &bytes = reader.member(root, "manifest", "bytesPerToken");
  const json &drafting = reader.member(root, "manifest", "drafting");
  if (!drafting.is_object()) reader.refuse("drafting", "is not an object");
  const auto read = [&](const std::string &name) {
    manifest.programs[name] =
        read_program(reader, manifest, reader.member(programs, "programs", name.c_str()), "programs." + name);
  };
  for (const std::string &mode : manifest.modes) {
    if (drafting.contains(mode)) {
      manifest.drafting[mode] = read_drafting(reader, manifest, drafting.at(mode), "drafting." + mode);
      continue;
    }
    read(mode);
    const json &value = reader.member(bytes, "bytesPerToken", mode.c_str());
    if (!value.is_number()) reader.refuse("bytesPerToken." + mode, "is not a number");
    manifest.bytes_per_token[mode] = value.get<double>();
  }
  for (const auto &entry : manifest.drafting)
    if (manifest.programs.count(entry.second.verify) == 0) read(entry.second.verify);
}

}  // namespace

Manifest read_manifest(const Bundle &bundle) {
  const ManifestReader reader(bundle);
  const json &root = reader.root();
  Manifest manifest{};
  reader.number(root, "manifest", "format", 2, 2);
  reader.number(root, "manifest", "abi", GSIC_KERNEL_ABI, GSIC_KERNEL_ABI);
  reader.number(root, "manifest", "columns", GSIC_MAX_COLUMNS, GSIC_MAX_COLUMNS);
  manifest.name = reader.text(root, "manifest", "name");
  manifest.family = reader.text(root, "manifest", "family");
  manifest.vocabulary = uint32_t(reader.number(root, "manifest", "vocabulary", 1, kMostTokens));
  manifest.context = uint32_t(reader.number(root, "manifest", "context", 1, kMostTokens));
  manifest.cache_block = uint32_t(reader.number(root, "manifest", "cacheBlock", 1, kMostCacheBlock));
  if ((manifest.cache_block & (manifest.cache_block - 1)) != 0)
    reader.refuse("cacheBlock", "is " + std::to_string(manifest.cache_block) + ", expected a power of two");
  read_buffers(reader, manifest);
  read_kernels(reader, manifest);
  read_targets(reader, manifest);
  read_programs(reader, manifest);
  return manifest;
}

}  // namespace gsic
