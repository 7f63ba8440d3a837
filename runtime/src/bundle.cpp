#include "bundle.h"

#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "error.h"
#include "sizes.h"

namespace gsic {
namespace {

constexpr uint8_t kMagic[8] = {'G', 'S', 'I', 'C', 0x1a, '\n', 0x00, 0x01};
constexpr const char *kDamaged = "the file is damaged: copy it again, or build the model again";
constexpr uint32_t kFormat = 1;
constexpr uint32_t kMostSections = 64;
constexpr uint64_t kHeaderBytes = 32, kEntryBytes = 64, kNameBytes = 32, kAlignment = 4096;

/// Little-endian number at `p`, on a machine of either byte order.
template <typename Number> Number little_endian(const uint8_t *p) {
  Number value = 0;
  for (size_t i = 0; i < sizeof value; i++) value |= Number(p[i]) << (8 * i);
  return value;
}

/// Where the section behind `end`, which lies within the file, begins.
uint64_t round_up(uint64_t end) { return checked_padding(end, kAlignment).value(); }

}  // namespace

Bundle::Bundle(const std::string &path, bool verify_weights) : file_(path) {
  check_header();
  read_table();
  check_hashes(verify_weights);
}

void Bundle::refuse(uint64_t offset, const std::string &what, const std::string &hint) const {
  throw Error::at(path() + ": byte " + std::to_string(offset), GSIC_BAD_BUNDLE, what, hint);
}

void Bundle::check_header() {
  const Bytes file = file_.bytes();
  if (file.size < kHeaderBytes)
    refuse(file.size, "the file ends inside the header of 32 bytes", "it is not a .gsi file, or it is incomplete");
  if (std::memcmp(file.data, kMagic, sizeof kMagic) != 0)
    refuse(0, "the file does not begin with the magic of a .gsi file", "point to the .gsi file of a gsic build");
  const uint32_t format = little_endian<uint32_t>(file.data + 8);
  if (format != kFormat)
    refuse(8,
           "the format version is " + std::to_string(format) + ", and this runtime reads version " +
               std::to_string(kFormat),
           "build the model again with the gsic of this runtime");
  const uint32_t count = little_endian<uint32_t>(file.data + 12);
  if (count == 0 || count > kMostSections)
    refuse(12, "a number of " + std::to_string(count) + " sections is not between 1 and 64", kDamaged);
  const uint64_t size = little_endian<uint64_t>(file.data + 16);
  if (size != file.size)
    refuse(16, "the header promises " + std::to_string(size) + " bytes, but the file has " + std::to_string(file.size),
           "it is incomplete or damaged: copy it again");
  const uint64_t end = kHeaderBytes + count * kEntryBytes;
  if (end > file.size) refuse(file.size, "the file ends inside the section table", "it is damaged: copy it again");
  const uint64_t found = XXH64(file.data + kHeaderBytes, count * kEntryBytes, 0);
  const uint64_t expected = little_endian<uint64_t>(file.data + 24);
  if (found != expected)
    refuse(24, "the section table's hash is " + hexadecimal(found) + ", expected " + hexadecimal(expected), kDamaged);
}

uint64_t Bundle::table_hash() const { return little_endian<uint64_t>(file_.bytes().data + 24); }

void Bundle::read_table() {
  const Bytes file = file_.bytes();
  const uint32_t count = little_endian<uint32_t>(file.data + 12);
  uint64_t end = kHeaderBytes + count * kEntryBytes;
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t at = kHeaderBytes + i * kEntryBytes;
    const uint8_t *entry = file.data + at;
    const uint8_t *name_end = std::find(entry, entry + kNameBytes, 0);
    const std::string name(entry, name_end);
    if (name.empty() || std::any_of(name_end, entry + kNameBytes, [](uint8_t c) { return c != 0; }) ||
        std::any_of(entry, name_end, [](uint8_t c) { return c < 0x21 || c > 0x7e; }))
      refuse(at, std::string("a section's name is not printable ASCII padded with NUL"), kDamaged);
    if (find(name).data != nullptr) refuse(at, "a second section is named '" + name + "'", kDamaged);
    const uint64_t offset = little_endian<uint64_t>(entry + 32), bytes = little_endian<uint64_t>(entry + 40);
    if (offset != round_up(end))
      refuse(at + 32,
             "section '" + name + "' begins at byte " + std::to_string(offset) + ", expected " +
                 std::to_string(round_up(end)),
             kDamaged);
    if (!range_fits(offset, bytes, file.size))
      refuse(at + 40, "section '" + name + "' of " + std::to_string(bytes) + " bytes passes the end of the file",
             kDamaged);
    if (little_endian<uint64_t>(entry + 56) != 0)
      refuse(at + 56, "the reserved field of section '" + name + "' is not 0", kDamaged);
    check_zero(end, offset);
    sections_.push_back({name, {file.data + offset, size_t(bytes)}, little_endian<uint64_t>(entry + 48)});
    end = offset + bytes;
  }
  if (file.size != round_up(end))
    refuse(16,
           "the file should end at byte " + std::to_string(round_up(end)) + ", but it has " +
               std::to_string(file.size) + " bytes",
           kDamaged);
  check_zero(end, file.size);
}

void Bundle::check_zero(uint64_t begin, uint64_t end) const {
  const uint8_t *file = file_.bytes().data;
  const uint8_t *found = std::find_if(file + begin, file + end, [](uint8_t byte) { return byte != 0; });
  if (found != file + end) refuse(uint64_t(found - file), "padding is not zero", "the file is damaged: copy it again");
}

void Bundle::check_hashes(bool verify_weights) const {
  for (const Section &section : sections_) {
    if (section.name == "weights" && !verify_weights) continue;
    check_hash(section, section.payload.data);
  }
}

void Bundle::check_hash(const Section &section, const uint8_t *payload) const {
  const uint64_t found = XXH64(payload, section.payload.size, 0);
  file_.require_whole();
  if (found == section.hash) return;
  refuse(
      uint64_t(section.payload.data - file_.bytes().data),
      "the hash of section '" + section.name + "' is " + hexadecimal(found) + ", expected " + hexadecimal(section.hash),
      kDamaged);
}

std::vector<uint8_t> Bundle::copy(const std::string &name) const {
  const Bytes payload = section(name);
  std::vector<uint8_t> bytes(payload.data, payload.data + payload.size);
  for (const Section &one : sections_)
    if (one.name == name) check_hash(one, bytes.data());
  return bytes;
}

Bytes Bundle::find(const std::string &name) const {
  for (const Section &section : sections_)
    if (section.name == name) return section.payload;
  return {};
}

Bytes Bundle::section(const std::string &name) const {
  const Bytes payload = find(name);
  if (payload.data != nullptr) return payload;
  std::vector<std::string> names;
  for (const Section &section : sections_) names.push_back(section.name);
  refuse(kHeaderBytes, "there is no section '" + name + "'; the sections are: " + comma_separated(names),
         "build the model again");
}

}  // namespace gsic
