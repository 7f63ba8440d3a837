// GGUF's blocks of quantised weights: what a block of each type holds, and its bytes.
#ifndef GSIC_TOOLS_BLOCK_FORMATS_H
#define GSIC_TOOLS_BLOCK_FORMATS_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace gsic {

enum class BlockType : uint8_t { q8_0, q6_k, q5_k, q4_k, q5_1, q5_0, q4_1, q4_0, iq4_nl };

/// A block is cut into parts, whose elements share a line; all sizes are in elements but for `bytes`.
struct BlockFormat {
  BlockType type;
  const char *name;
  size_t elements, bytes, part;
  /// The least and the greatest level: integers that w = step * level + offset, but for iq4_nl's table.
  int lowest, highest;
  /// Whether a part has an offset.
  bool offset;
};

/// The format of a type by GGUF's name in small letters; null if there is none.
const BlockFormat *block_format(const std::string &name);

/// w = step * level + offset, for the elements of a part.
struct Line {
  float step = 0, offset = 0;
};

constexpr size_t kMostParts = 16;
constexpr size_t kMostBlock = 256;

/// What the elements of a block are rounded by, exactly as the block stores it.
struct BlockLines {
  std::array<Line, kMostParts> lines{};
  /// The bits of the block's scale and minimum.
  uint16_t scale = 0, minimum = 0;
  /// Multiples of these by part, where a block has several.
  std::array<int8_t, kMostParts> scales{};
  std::array<uint8_t, kMostParts> minima{};
};

/// The values that iq4_nl's levels stand for, before the scale; they ascend.
extern const std::array<int8_t, 16> kUnevenLevels;

/// Writes a block's bytes; `levels` are those of its elements, iq4_nl's as places in the table.
void pack_block(const BlockFormat &format, const BlockLines &lines, const int8_t *levels, uint8_t *to);

/// The bits of the nearest f16, ties to even; what is too large becomes the largest.
uint16_t half_bits(float value);
/// The value of an f16.
float half_value(uint16_t bits);

}  // namespace gsic

#endif
