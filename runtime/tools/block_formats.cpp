#include "block_formats.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace gsic {
namespace {

constexpr std::array<BlockFormat, 9> kFormats = {{
    {BlockType::q8_0, "q8_0", 32, 34, 32, -127, 127, false},
    {BlockType::q6_k, "q6_k", 256, 210, 16, -32, 31, false},
    {BlockType::q5_k, "q5_k", 256, 176, 32, 0, 31, true},
    {BlockType::q4_k, "q4_k", 256, 144, 32, 0, 15, true},
    {BlockType::q5_1, "q5_1", 32, 24, 32, 0, 31, true},
    {BlockType::q5_0, "q5_0", 32, 22, 32, -16, 15, false},
    {BlockType::q4_1, "q4_1", 32, 20, 32, 0, 15, true},
    {BlockType::q4_0, "q4_0", 32, 18, 32, -8, 7, false},
    {BlockType::iq4_nl, "iq4_nl", 32, 18, 32, 0, 15, false},
}};

uint8_t *put_half(uint8_t *to, uint16_t bits) {
  to[0] = uint8_t(bits & 0xff);
  to[1] = uint8_t(bits >> 8);
  return to + 2;
}

/// Sixteen bytes of low bits: element j beside element j + 16.
uint8_t *put_nibbles(uint8_t *to, const int8_t *levels, int lowest) {
  for (size_t j = 0; j < 16; j++)
    to[j] = uint8_t(((levels[j] - lowest) & 15) | (((levels[j + 16] - lowest) & 15) << 4));
  return to + 16;
}

/// The fifth bits of 32 elements.
uint8_t *put_fifth_bits(uint8_t *to, const int8_t *levels, int lowest) {
  std::fill_n(to, 4, uint8_t(0));
  for (size_t j = 0; j < 32; j++) to[j / 8] = uint8_t(to[j / 8] | (((levels[j] - lowest) >> 4) << (j % 8)));
  return to + 4;
}

/// Eight scales and eight minima of six bits in twelve bytes: the first four of each whole, with the upper two bits of
/// the last four above them.
uint8_t *put_sixes(uint8_t *to, const BlockLines &lines) {
  for (size_t j = 0; j < 4; j++) {
    const auto scale = uint8_t(lines.scales[j + 4]), minimum = lines.minima[j + 4];
    to[j] = uint8_t(lines.scales[j] | ((scale >> 4) << 6));
    to[j + 4] = uint8_t(lines.minima[j] | ((minimum >> 4) << 6));
    to[j + 8] = uint8_t((scale & 15) | ((minimum & 15) << 4));
  }
  return to + 12;
}

/// Low bits of 256 elements: element j of each 64 beside element j + 32.
void put_pairs(uint8_t *to, const int8_t *levels) {
  for (size_t chunk = 0; chunk < 4; chunk++)
    for (size_t j = 0; j < 32; j++) {
      const int8_t *from = levels + 64 * chunk + j;
      to[32 * chunk + j] = uint8_t((from[0] & 15) | ((from[32] & 15) << 4));
    }
}

/// Fifth bits of 256 elements: byte j has those of the elements j of all eight parts.
uint8_t *put_fifths_by_part(uint8_t *to, const int8_t *levels) {
  std::fill_n(to, 32, uint8_t(0));
  for (size_t part = 0; part < 8; part++)
    for (size_t j = 0; j < 32; j++) to[j] = uint8_t(to[j] | ((levels[32 * part + j] >> 4) << part));
  return to + 32;
}

/// q6_k: halves of 128 elements, of whose quarters the first two have the low bits of a byte, the last two the high
/// ones.
void put_q6_k(uint8_t *to, const BlockLines &lines, const int8_t *levels) {
  uint8_t *high = to + 128;
  for (size_t half = 0; half < 2; half++)
    for (size_t j = 0; j < 32; j++) {
      int q[4];
      for (size_t quarter = 0; quarter < 4; quarter++) q[quarter] = levels[128 * half + 32 * quarter + j] + 32;
      to[64 * half + j] = uint8_t((q[0] & 15) | ((q[2] & 15) << 4));
      to[64 * half + 32 + j] = uint8_t((q[1] & 15) | ((q[3] & 15) << 4));
      high[32 * half + j] = uint8_t((q[0] >> 4) | ((q[1] >> 4) << 2) | ((q[2] >> 4) << 4) | ((q[3] >> 4) << 6));
    }
  std::memcpy(to + 192, lines.scales.data(), 16);
  put_half(to + 208, lines.scale);
}

}  // namespace

const std::array<int8_t, 16> kUnevenLevels = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

const BlockFormat *block_format(const std::string &name) {
  const auto *found =
      std::find_if(kFormats.begin(), kFormats.end(), [&](const BlockFormat &format) { return name == format.name; });
  return found == kFormats.end() ? nullptr : found;
}

void pack_block(const BlockFormat &format, const BlockLines &lines, const int8_t *levels, uint8_t *to) {
  if (format.type == BlockType::q6_k) return put_q6_k(to, lines, levels);
  to = put_half(to, lines.scale);
  if (format.offset) to = put_half(to, lines.minimum);
  switch (format.type) {
    case BlockType::q8_0:
      std::memcpy(to, levels, 32);
      break;
    case BlockType::q5_k:
      to = put_fifths_by_part(put_sixes(to, lines), levels);
      put_pairs(to, levels);
      break;
    case BlockType::q4_k:
      put_pairs(put_sixes(to, lines), levels);
      break;
    case BlockType::q5_1:
    case BlockType::q5_0:
      put_nibbles(put_fifth_bits(to, levels, format.lowest), levels, format.lowest);
      break;
    default:
      put_nibbles(to, levels, format.lowest);
  }
}

uint16_t half_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const auto sign = uint16_t((bits >> 16) & 0x8000);
  const float size = std::fabs(value);
  if (size < 0x1p-14f) return uint16_t(sign | uint16_t(std::nearbyint(size * 0x1p24f)));
  if (!(size < 65520.0f)) return uint16_t(sign | 0x7bff);
  bits &= 0x7fffffff;
  bits += 0xfff + ((bits >> 13) & 1);
  return uint16_t(sign | ((bits >> 13) - (112u << 10)));
}

float half_value(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const float size =
      exponent == 0 ? std::ldexp(float(fraction), -24) : std::ldexp(float(1024 + fraction), exponent - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}

}  // namespace gsic
