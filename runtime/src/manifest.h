// The manifest of a bundle: what to run. `Manifest` in compiler/ir/graph.ts is the same thing as JSON.
#ifndef GSIC_SRC_MANIFEST_H
#define GSIC_SRC_MANIFEST_H

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bundle.h"

namespace gsic {

/// The memory blocks that launch arguments point into.
enum class Buffer : uint8_t { weights, arena, cache, step, counters };
constexpr size_t kBuffers = 5;
extern const std::array<const char *, kBuffers> kBufferNames;

/// A place in a buffer, which has all the bytes from there that a kernel may touch.
struct Argument {
  Buffer buffer;
  uint64_t offset;
};

struct Launch {
  uint32_t kernel;  ///< index into Manifest::kernels
  std::vector<Argument> arguments;
  uint32_t from = 0;          ///< it finds work only in passes with a column at this position or behind
  bool alone = false;         ///< its step is null in passes of one column
  uint64_t weight_bytes = 0;  ///< of all arguments that are weights
  uint64_t value_bytes = 0;   ///< of the largest argument in the arena
};

/// Where a linear's input can be read after launch `after` of the body: [16, stride] f32 in the arena.
struct Tap {
  std::string value;
  uint32_t after;
  uint64_t offset;
  uint32_t width;
  uint32_t stride;
};

/// A linear of a call: y = W x + b.
struct CallableLinear {
  std::string name;    ///< as in graph.ts
  std::string tensor;  ///< of the source model
  uint32_t first;      ///< first output row in the tensor
  uint32_t out;
  uint32_t column;  ///< first column in the call's output
  bool bias;
};

/// [16, stride] f32 in the arena, of which `width` are used.
struct Block {
  uint64_t offset;
  uint32_t width;
  uint32_t stride;
};

/// Linears that read one value, and the launches that compute them alone.
struct LinearCall {
  std::string input;
  std::vector<CallableLinear> linears;
  Block x, y;
  std::vector<Launch> launches;
};

/// One pass over 1 to 16 tokens.
struct Program {
  std::vector<Launch> body;
  std::vector<Launch> head;  ///< only where logits are wanted
  /// In place of the head where only the largest logit is wanted: what may be it is exact, all else the least number.
  /// Empty: the head is read whole.
  std::vector<Launch> screened;
  uint64_t logits_offset;  ///< bytes in the arena; [16, logits_stride] f32
  uint32_t logits_stride;
  uint64_t cache_bytes;            ///< of a block of the cache, which its launches reach
  std::optional<uint64_t> greedy;  ///< bytes in the arena; [16] gsic_choice that the head leaves
  std::vector<Tap> taps;           ///< in order of `after`
  std::vector<LinearCall> linears;
  /// The tap of what the head reads, behind the whole body; null where there is none.
  const Tap *hidden() const;
  std::vector<std::string> gates;  ///< by name: two u64 each (closed, open) in `counters`
};

/// A mode in which one program proposes tokens, and another decides which of them stand. Names of programs.
struct Drafting {
  std::string draft, verify;
};

enum class DeviceKind : uint8_t { cpu, hip, cuda };
extern const std::array<const char *, 3> kDeviceNames;

struct Target {
  std::string name;
  DeviceKind device;
  std::string architecture;  ///< CPUs: as `uname -m` names it, or `any`; GPUs: gfx942, sm_90
  std::vector<std::string> features;
  std::string section;
  std::vector<Bytes> code;  ///< GPUs: each kernel's code object, inside the section
};

/// A launch has min(max_workgroups, per_unit x compute units) workgroups; any number from 1 gives the same result.
struct LaunchShape {
  uint32_t threads;         ///< lanes of a workgroup, a multiple of 32
  uint32_t lds;             ///< bytes of static LDS of a workgroup
  uint32_t max_workgroups;  ///< workgroups that find work when a pass is full
  uint32_t per_unit;        ///< workgroups that a compute unit holds at once
};

struct Kernel {
  std::string symbol;                 ///< C symbol
  uint32_t arguments;                 ///< how many
  std::optional<LaunchShape> launch;  ///< none on CPUs
};

struct Manifest {
  std::string name, family;
  uint32_t vocabulary, context;
  uint32_t cache_block;                    ///< positions of a block of the KV cache, a power of two
  std::array<uint64_t, kBuffers> buffers;  ///< bytes, by Buffer; of the cache: of the largest block of a program
  std::vector<Target> targets;             ///< best first
  std::vector<Kernel> kernels;
  std::vector<std::string> modes;                 ///< the default first
  std::map<std::string, Program> programs;        ///< of modes, and those by which modes verify drafts
  std::map<std::string, Drafting> drafting;       ///< modes that have no program of their own
  std::map<std::string, double> bytes_per_token;  ///< of modes that have a program

  /// Blocks that hold so many positions.
  uint64_t blocks(uint64_t positions) const { return (positions + cache_block - 1) / cache_block; }
  uint64_t buffer(Buffer which) const { return buffers[size_t(which)]; }
};

/// Reads and checks the section `manifest`. Throws GSIC_BAD_BUNDLE with the key in question.
Manifest read_manifest(const Bundle &bundle);

}  // namespace gsic

#endif
