#include "manifest_program.h"

#include <algorithm>

#include "gsic/abi.h"
#include "sizes.h"

namespace gsic {
namespace {

using nlohmann::json;

/// Adds an argument to a launch. `cache`: bytes of a block of the cache that the program has.
void read_argument(const ManifestReader &reader, const Manifest &manifest, uint64_t cache, const json &value,
                   const std::string &at, Launch &launch) {
  const std::string name = reader.text(value, at, "buffer");
  const auto found = std::find(kBufferNames.begin(), kBufferNames.end(), name);
  if (found == kBufferNames.end()) reader.refuse(at + ".buffer", "names no buffer: '" + name + "'");
  const Buffer buffer = Buffer(found - kBufferNames.begin());
  const uint64_t size = buffer == Buffer::cache ? cache : manifest.buffer(buffer);
  const uint64_t offset = reader.number(value, at, "offset", 0, kMostBytes);
  const uint64_t bytes = reader.number(value, at, "bytes", 1, kMostBytes);
  if (!range_fits(offset, bytes, size))
    reader.refuse(at, "of " + std::to_string(bytes) + " bytes at " + std::to_string(offset) +
                          " is not inside the buffer '" + name + "' of " + std::to_string(size) + " bytes");
  if (buffer == Buffer::weights) launch.weight_bytes += bytes;
  if (buffer == Buffer::arena) launch.value_bytes = std::max(launch.value_bytes, bytes);
  launch.arguments.push_back({buffer, offset});
}

std::vector<Launch> read_launches(const ManifestReader &reader, const Manifest &manifest, uint64_t cache,
                                  const json &program, const std::string &at, const char *key) {
  std::vector<Launch> launches;
  for (const json &value : reader.list(program, at, key)) {
    const std::string here = indexed(at + "." + key, launches.size());
    Launch launch{uint32_t(reader.number(value, here, "kernel", 0, manifest.kernels.size() - 1)), {}};
    if (value.contains("from")) launch.from = uint32_t(reader.number(value, here, "from", 0, kMostTokens));
    if (value.contains("alone")) launch.alone = reader.flag(value, here, "alone");
    const json &arguments = reader.list(value, here, "arguments");
    const Kernel &kernel = manifest.kernels[launch.kernel];
    if (arguments.size() != kernel.arguments)
      reader.refuse(here + ".arguments", "has " + std::to_string(arguments.size()) + " entries, but the kernel '" +
                                             kernel.symbol + "' takes " + std::to_string(kernel.arguments));
    for (const json &argument : arguments)
      read_argument(reader, manifest, cache, argument, indexed(here + ".arguments", launch.arguments.size()), launch);
    launches.push_back(std::move(launch));
  }
  return launches;
}

/// Refuses a block of [16, stride] f32 or i32 at `offset` that is not inside the arena.
void check_block(const ManifestReader &reader, const Manifest &manifest, const std::string &at, uint64_t offset,
                 uint64_t stride) {
  const std::optional<uint64_t> bytes = checked_product({GSIC_MAX_COLUMNS, stride, sizeof(float)});
  const uint64_t arena = manifest.buffer(Buffer::arena);
  if (!bytes || offset % sizeof(float) != 0 || !range_fits(offset, *bytes, arena))
    reader.refuse(at, "of " + (bytes ? std::to_string(*bytes) : "2^53 or more") + " bytes at " +
                          std::to_string(offset) + " is not inside the arena of " + std::to_string(arena) + " bytes");
}

std::vector<Tap> read_taps(const ManifestReader &reader, const Manifest &manifest, const json &program,
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

Block read_block(const ManifestReader &reader, const Manifest &manifest, const json &call, const std::string &at,
                 const char *key) {
  const json &value = reader.member(call, at, key);
  const std::string here = at + "." + key;
  Block block{reader.number(value, here, "offset", 0, kMostBytes), 0,
              uint32_t(reader.number(value, here, "stride", 1, kMostTokens))};
  block.width = uint32_t(reader.number(value, here, "width", 1, block.stride));
  check_block(reader, manifest, here, block.offset, block.stride);
  return block;
}

CallableLinear read_linear(const ManifestReader &reader, const json &value, const std::string &at, uint32_t width) {
  CallableLinear linear{reader.text(value, at, "name"),
                        reader.text(value, at, "tensor"),
                        uint32_t(reader.number(value, at, "first", 0, kMostTokens)),
                        0,
                        uint32_t(reader.number(value, at, "column", 0, width - 1)),
                        false};
  linear.out = uint32_t(reader.number(value, at, "out", 1, width - linear.column));
  const json &bias = reader.member(value, at, "bias");
  if (!bias.is_boolean()) reader.refuse(at + ".bias", "is not true or false");
  linear.bias = bias.get<bool>();
  return linear;
}

std::vector<LinearCall> read_linears(const ManifestReader &reader, const Manifest &manifest, const json &program,
                                     const std::string &at) {
  std::vector<LinearCall> calls;
  for (const json &value : reader.list(program, at, "linears")) {
    const std::string here = indexed(at + ".linears", calls.size());
    LinearCall call{reader.text(value, here, "input"),
                    {},
                    read_block(reader, manifest, value, here, "x"),
                    read_block(reader, manifest, value, here, "y"),
                    read_launches(reader, manifest, manifest.buffer(Buffer::cache), value, here, "launches")};
    for (const Launch &launch : call.launches)
      for (const Argument &argument : launch.arguments)
        if (argument.buffer == Buffer::cache)
          reader.refuse(here + ".launches", "needs a KV cache, which a call has not");
    for (const json &linear : reader.list(value, here, "linears"))
      call.linears.push_back(
          read_linear(reader, linear, indexed(here + ".linears", call.linears.size()), call.y.width));
    calls.push_back(std::move(call));
  }
  return calls;
}

/// Bundles of before programs had blocks of their own do not say it.
uint64_t cache_bytes_of(const ManifestReader &reader, const Manifest &manifest, const json &program,
                        const std::string &at) {
  const uint64_t most = manifest.buffer(Buffer::cache);
  if (!program.contains("cacheBytes")) return most;
  const uint64_t bytes = reader.number(program, at, "cacheBytes", 1, most);
  if (bytes % kCacheAlignment != 0) reader.refuse(at + ".cacheBytes", "is not a multiple of 64");
  return bytes;
}

}  // namespace

Program read_program(const ManifestReader &reader, const Manifest &manifest, const json &value, const std::string &at) {
  Program program{};
  program.cache_bytes = cache_bytes_of(reader, manifest, value, at);
  program.body = read_launches(reader, manifest, program.cache_bytes, value, at, "body");
  program.head = read_launches(reader, manifest, program.cache_bytes, value, at, "head");
  if (value.contains("screened"))
    program.screened = read_launches(reader, manifest, program.cache_bytes, value, at, "screened");
  const json &logits = reader.member(value, at, "logits");
  program.logits_offset = reader.number(logits, at + ".logits", "offset", 0, kMostBytes);
  program.logits_stride = uint32_t(reader.number(logits, at + ".logits", "stride", manifest.vocabulary, kMostTokens));
  check_block(reader, manifest, at + ".logits", program.logits_offset, program.logits_stride);
  const json &greedy = reader.member(value, at, "greedy");
  if (!greedy.is_null()) {
    program.greedy = reader.number(greedy, at + ".greedy", "offset", 0, kMostBytes);
    check_block(reader, manifest, at + ".greedy", *program.greedy, sizeof(gsic_choice) / sizeof(float));
    if (program.head.empty()) reader.refuse(at + ".greedy", "is given, but the head has no launch");
  }
  program.taps = read_taps(reader, manifest, value, at, program.body.size());
  program.linears = read_linears(reader, manifest, value, at);
  program.gates = reader.texts(value, at, "gates");
  const std::optional<uint64_t> counters = checked_product({program.gates.size(), 2, sizeof(uint64_t)});
  if (!counters || *counters > manifest.buffer(Buffer::counters))
    reader.refuse(at + ".gates", "does not fit into the buffer 'counters'");
  return program;
}

}  // namespace gsic
