#include "manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "error.h"
#include "gsic/abi.h"

namespace gsic {

const std::array<const char *, kBuffers> kBufferNames = {"weights", "arena", "cache", "step", "counters"};

namespace {

using nlohmann::json;

constexpr uint64_t kMostBytes = uint64_t(1) << 44;
constexpr uint64_t kMostEntries = 1u << 20;
constexpr uint64_t kMostTokens = 1u << 24;
constexpr uint64_t kMostArguments = 64;

/// Reads values out of the JSON document, and names the key and the place in the file where one is wrong.
class Reader {
 public:
  explicit Reader(const Bundle &bundle) : bundle_(bundle), section_(bundle.section("manifest")) {
    if (section_.size > (size_t(1) << 28)) refuse("the whole of it", "is larger than 256 MiB");
    try {
      root_ = json::parse(section_.data, section_.data + section_.size);
    } catch (const json::parse_error &error) {
      bundle_.refuse(offset() + error.byte, std::string("the manifest is not JSON: ") + error.what());
    }
  }

  const json &root() const { return root_; }
  uint64_t weights_bytes() const { return bundle_.section("weights").size; }
  void require_section(const std::string &name) const { bundle_.section(name); }

  [[noreturn]] void refuse(const std::string &key, const std::string &what) const {
    bundle_.refuse(offset(), "manifest: " + key + " " + what + "; build the model again with this gsic");
  }

  const json &member(const json &object, const std::string &at, const char *key) const {
    if (!object.is_object()) refuse(at, "is not an object");
    const auto found = object.find(key);
    if (found == object.end()) refuse(at + "." + key, "is missing");
    return *found;
  }

  /// An integer between `least` and `most`.
  uint64_t number(const json &object, const std::string &at, const char *key, uint64_t least, uint64_t most) const {
    const json &value = member(object, at, key);
    if (!value.is_number_unsigned() || value.get<uint64_t>() < least || value.get<uint64_t>() > most)
      refuse(at + "." + key, "is " + value.dump() + ", expected an integer from " + std::to_string(least) + " to " +
                                 std::to_string(most));
    return value.get<uint64_t>();
  }

  std::string text(const json &object, const std::string &at, const char *key) const {
    return as_text(member(object, at, key), at + "." + key);
  }

  std::string as_text(const json &value, const std::string &at) const {
    if (!value.is_string()) refuse(at, "is not a string");
    return value.get<std::string>();
  }

  const json &list(const json &object, const std::string &at, const char *key) const {
    const json &value = member(object, at, key);
    if (!value.is_array()) refuse(at + "." + key, "is not a list");
    if (value.size() > kMostEntries) refuse(at + "." + key, "has more than 2^20 entries");
    return value;
  }

  std::vector<std::string> texts(const json &object, const std::string &at, const char *key) const {
    std::vector<std::string> result;
    for (const json &entry : list(object, at, key)) result.push_back(as_text(entry, at + "." + key));
    return result;
  }

 private:
  uint64_t offset() const { return uint64_t(section_.data - bundle_.bytes().data); }

  const Bundle &bundle_;
  Bytes section_;
  json root_;
};

std::string indexed(const std::string &at, size_t index) { return at + "[" + std::to_string(index) + "]"; }

Argument read_argument(const Reader &reader, const Manifest &manifest, const json &value, const std::string &at) {
  const std::string name = reader.text(value, at, "buffer");
  const auto found = std::find(kBufferNames.begin(), kBufferNames.end(), name);
  if (found == kBufferNames.end()) reader.refuse(at + ".buffer", "names no buffer: '" + name + "'");
  const Buffer buffer = Buffer(found - kBufferNames.begin());
  const uint64_t size = manifest.buffer(buffer);
  if (size == 0) reader.refuse(at, "points into the buffer '" + name + "', which is empty");
  return {buffer, reader.number(value, at, "offset", 0, size - 1)};
}

std::vector<Launch> read_launches(const Reader &reader, const Manifest &manifest, const json &program,
                                  const std::string &at, const char *key) {
  std::vector<Launch> launches;
  for (const json &value : reader.list(program, at, key)) {
    const std::string here = indexed(at + "." + key, launches.size());
    Launch launch{uint32_t(reader.number(value, here, "kernel", 0, manifest.kernels.size() - 1)), {}};
    const json &arguments = reader.list(value, here, "arguments");
    if (arguments.empty() || arguments.size() > kMostArguments)
      reader.refuse(here + ".arguments", "does not have 1 to 64 entries");
    for (const json &argument : arguments)
      launch.arguments.push_back(
          read_argument(reader, manifest, argument, indexed(here + ".arguments", launch.arguments.size())));
    launches.push_back(std::move(launch));
  }
  return launches;
}

/// Refuses a block of [16, stride] f32 at `offset` that is not inside the arena.
void check_block(const Reader &reader, const Manifest &manifest, const std::string &at, uint64_t offset,
                 uint64_t stride) {
  const uint64_t bytes = GSIC_MAX_COLUMNS * stride * sizeof(float), arena = manifest.buffer(Buffer::arena);
  if (offset % sizeof(float) != 0 || bytes > arena || offset > arena - bytes)
    reader.refuse(at, "of " + std::to_string(bytes) + " bytes at " + std::to_string(offset) +
                          " is not inside the arena of " + std::to_string(arena) + " bytes");
}

std::vector<Tap> read_taps(const Reader &reader, const Manifest &manifest, const json &program,
                           const std::string &at, size_t body) {
  std::vector<Tap> taps;
  for (const json &value : reader.list(program, at, "taps")) {
    const std::string here = indexed(at + ".taps", taps.size());
    if (body == 0) reader.refuse(here, "belongs to an empty body");
    Tap tap{reader.text(value, here, "value"), uint32_t(reader.number(value, here, "after", 0, body - 1)),
            reader.number(value, here, "offset", 0, kMostBytes), 0, 0};
    tap.stride = uint32_t(reader.number(value, here, "stride", 1, kMostTokens));
    tap.width = uint32_t(reader.number(value, here, "width", 1, tap.stride));
    check_block(reader, manifest, here, tap.offset, tap.stride);
    taps.push_back(std::move(tap));
  }
  std::stable_sort(taps.begin(), taps.end(), [](const Tap &a, const Tap &b) { return a.after < b.after; });
  return taps;
}

Program read_program(const Reader &reader, const Manifest &manifest, const json &value, const std::string &at) {
  Program program{};
  program.body = read_launches(reader, manifest, value, at, "body");
  program.head = read_launches(reader, manifest, value, at, "head");
  const json &logits = reader.member(value, at, "logits");
  program.logits_offset = reader.number(logits, at + ".logits", "offset", 0, kMostBytes);
  program.logits_stride = uint32_t(reader.number(logits, at + ".logits", "stride", manifest.vocabulary, kMostTokens));
  check_block(reader, manifest, at + ".logits", program.logits_offset, program.logits_stride);
  program.taps = read_taps(reader, manifest, value, at, program.body.size());
  program.tiers = reader.texts(value, at, "tiers");
  if (program.tiers.size() * 2 * sizeof(uint64_t) > manifest.buffer(Buffer::counters))
    reader.refuse(at + ".tiers", "does not fit into the buffer 'counters'");
  return program;
}

void read_buffers(const Reader &reader, Manifest &manifest) {
  const json &buffers = reader.member(reader.root(), "manifest", "buffers");
  for (size_t i = 0; i < kBuffers; i++)
    manifest.buffers[i] = reader.number(buffers, "buffers", kBufferNames[i], 0, kMostBytes);
  if (manifest.buffer(Buffer::weights) != reader.weights_bytes())
    reader.refuse("buffers.weights", "is not the size of the section 'weights', " +
                                         std::to_string(reader.weights_bytes()) + " bytes");
  if (manifest.buffer(Buffer::step) < sizeof(gsic_step)) reader.refuse("buffers.step", "is too small for a step");
}

void read_targets(const Reader &reader, Manifest &manifest) {
  for (const json &value : reader.list(reader.root(), "manifest", "targets")) {
    const std::string at = indexed("targets", manifest.targets.size());
    manifest.targets.push_back({reader.text(value, at, "name"), reader.text(value, at, "device"),
                                reader.texts(value, at, "features"), reader.text(value, at, "section")});
    reader.require_section(manifest.targets.back().section);
  }
  if (manifest.targets.empty()) reader.refuse("targets", "is empty");
}

void read_programs(const Reader &reader, Manifest &manifest) {
  const json &root = reader.root();
  manifest.modes = reader.texts(root, "manifest", "modes");
  const auto first = std::find(manifest.modes.begin(), manifest.modes.end(), reader.text(root, "", "defaultMode"));
  if (first == manifest.modes.end()) reader.refuse("defaultMode", "is not among the modes");
  std::rotate(manifest.modes.begin(), first, first + 1);
  const json &programs = reader.member(root, "manifest", "programs");
  const json &bytes = reader.member(root, "manifest", "bytesPerToken");
  for (const std::string &mode : manifest.modes) {
    const std::string at = "programs." + mode;
    manifest.programs[mode] = read_program(reader, manifest, reader.member(programs, "programs", mode.c_str()), at);
    const json &value = reader.member(bytes, "bytesPerToken", mode.c_str());
    if (!value.is_number()) reader.refuse("bytesPerToken." + mode, "is not a number");
    manifest.bytes_per_token[mode] = value.get<double>();
  }
}

}  // namespace

Manifest read_manifest(const Bundle &bundle) {
  const Reader reader(bundle);
  const json &root = reader.root();
  Manifest manifest{};
  reader.number(root, "manifest", "format", 1, 1);
  reader.number(root, "manifest", "abi", GSIC_KERNEL_ABI, GSIC_KERNEL_ABI);
  reader.number(root, "manifest", "columns", GSIC_MAX_COLUMNS, GSIC_MAX_COLUMNS);
  manifest.name = reader.text(root, "manifest", "name");
  manifest.family = reader.text(root, "manifest", "family");
  manifest.vocabulary = uint32_t(reader.number(root, "manifest", "vocabulary", 1, kMostTokens));
  manifest.context = uint32_t(reader.number(root, "manifest", "context", 1, kMostTokens));
  read_buffers(reader, manifest);
  read_targets(reader, manifest);
  manifest.kernels = reader.texts(root, "manifest", "kernels");
  if (manifest.kernels.empty()) reader.refuse("kernels", "is empty");
  read_programs(reader, manifest);
  return manifest;
}

}  // namespace gsic
