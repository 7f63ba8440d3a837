#include "cache_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "error.h"
#include "sizes.h"

namespace gsic {
namespace {

constexpr uint8_t kMagic[8] = {'G', 'S', 'I', 'C', 0x1a, '\n', 0x00, 0x02};
constexpr uint32_t kFormat = 1;
constexpr uint64_t kHeaderBytes = 32, kRecordBytes = 8;
constexpr const char *kRemove = "remove it, and the cache begins empty";

template <typename Number> Number little_endian(const uint8_t *p) {
  Number value = 0;
  for (size_t i = 0; i < sizeof value; i++) value |= Number(p[i]) << (8 * i);
  return value;
}

template <typename Number> void put(uint8_t *p, Number value) {
  for (size_t i = 0; i < sizeof value; i++) p[i] = uint8_t(value >> (8 * i));
}

/// A file beside the one that is to be written, which takes its place or vanishes.
class Replacement {
 public:
  explicit Replacement(const std::string &path)
      : path_(path), partial_(path + "." + std::to_string(getpid()) + ".partial") {
    struct stat status = {};
    if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
      throw Error::at(path, GSIC_IO, "is not a regular file", "name another file");
    const int number = open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    file_ = number < 0 ? nullptr : fdopen(number, "wb");
    if (file_ == nullptr) fail();
    XXH64_reset(&hash_, 0);
  }
  ~Replacement() {
    if (file_ != nullptr) std::fclose(file_);
    if (!whole_) unlink(partial_.c_str());
  }
  Replacement(const Replacement &) = delete;
  Replacement &operator=(const Replacement &) = delete;

  /// Appends bytes that the hash covers.
  void add(const void *bytes, size_t count) {
    XXH64_update(&hash_, bytes, count);
    size_ += count;
    write(bytes, count);
  }
  /// Appends bytes that it does not cover.
  void write(const void *bytes, size_t count) {
    if (std::fwrite(bytes, 1, count, file_) != count) fail();
  }
  uint64_t size() const { return size_; }
  uint64_t hash() const { return XXH64_digest(&hash_); }
  /// The header in the room that was left for it, and the new name.
  void finish(const uint8_t *header, size_t count) {
    if (std::fseek(file_, 0, SEEK_SET) != 0) fail();
    write(header, count);
    if (std::fflush(file_) != 0 || fsync(fileno(file_)) != 0) fail();
    if (std::fclose(std::exchange(file_, nullptr)) != 0) fail();
    if (std::rename(partial_.c_str(), path_.c_str()) != 0) fail();
    whole_ = true;
  }

 private:
  [[noreturn]] void fail() const {
    throw Error::at(path_, GSIC_IO, "cannot be written: " + system_error_text(),
                    "check that its folder exists, may be written, and has room");
  }

  std::string path_, partial_;
  FILE *file_ = nullptr;
  XXH64_state_t hash_;
  uint64_t size_ = 0;
  bool whole_ = false;
};

}  // namespace

void write_cache_file(const std::string &path, const CacheFileAbout &about,
                      const std::function<CacheFileBlock(uint64_t)> &next) {
  const nlohmann::ordered_json json = {{"build", about.build},   {"program", about.program},
                                       {"target", about.target}, {"positions", about.positions},
                                       {"bytes", about.bytes},   {"blocks", about.blocks}};
  const std::string text = json.dump();
  std::array<uint8_t, kHeaderBytes> header = {};
  Replacement file(path);
  file.write(header.data(), header.size());
  file.add(text.data(), text.size());
  for (uint64_t i = 0; i < about.blocks; i++) {
    const CacheFileBlock block = next(i);
    std::vector<uint8_t> record(kRecordBytes + 4 * block.tokens.size());
    put(record.data(), block.before);
    put(record.data() + 4, uint32_t(block.tokens.size()));
    for (size_t j = 0; j < block.tokens.size(); j++)
      put(record.data() + kRecordBytes + 4 * j, uint32_t(block.tokens[j]));
    file.add(record.data(), record.size());
    file.add(block.data, about.bytes);
  }
  std::memcpy(header.data(), kMagic, sizeof kMagic);
  put(header.data() + 8, kFormat);
  put(header.data() + 12, uint32_t(text.size()));
  put(header.data() + 16, kHeaderBytes + file.size());
  put(header.data() + 24, file.hash());
  file.finish(header.data(), header.size());
}

CacheFile::CacheFile(const std::string &path, const CacheFileAbout &expected, uint32_t vocabulary) : file_(path) {
  check_header();
  about_bytes_ = little_endian<uint32_t>(file_.bytes().data + 12);
  check_about(expected);
  read_blocks(expected, vocabulary);
  require_whole();
}

void CacheFile::refuse(const std::string &what, const std::string &hint) const {
  throw Error::at(file_.path(), GSIC_BAD_BUNDLE, what, hint);
}

void CacheFile::check_header() const {
  const Bytes file = file_.bytes();
  if (file.size < kHeaderBytes || std::memcmp(file.data, kMagic, sizeof kMagic) != 0)
    refuse("the file is no kept KV cache", "name another file");
  if (const uint32_t format = little_endian<uint32_t>(file.data + 8); format != kFormat)
    refuse("the format version is " + std::to_string(format) + ", and this runtime reads version " +
               std::to_string(kFormat),
           kRemove);
  if (const uint64_t size = little_endian<uint64_t>(file.data + 16); size != file.size)
    refuse("the header promises " + std::to_string(size) + " bytes, but the file has " + std::to_string(file.size),
           kRemove);
  const uint64_t found = XXH64(file.data + kHeaderBytes, file.size - kHeaderBytes, 0);
  require_whole();
  if (found != little_endian<uint64_t>(file.data + 24)) refuse("its hash is wrong: the file is damaged", kRemove);
  if (!range_fits(kHeaderBytes, little_endian<uint32_t>(file.data + 12), file.size))
    refuse("it ends before it says what it is", kRemove);
}

void CacheFile::check_about(const CacheFileAbout &expected) {
  const auto *text = reinterpret_cast<const char *>(file_.bytes().data + kHeaderBytes);
  const auto json = nlohmann::json::parse(text, text + about_bytes_, nullptr, false);
  const auto said = [&](const char *key) { return json.is_object() ? json.value(key, nlohmann::json()) : json; };
  const auto require_same = [&](const char *key, const nlohmann::json &own, const char *what) {
    if (const nlohmann::json found = said(key); found != own)
      refuse(std::string("it is of another ") + what + ": " + found.dump() + ", not " + own.dump(),
             std::string("serve what wrote it, or ") + kRemove);
  };
  require_same("build", expected.build, "build");
  require_same("target", expected.target, "target");
  require_same("program", expected.program, "mode");
  require_same("positions", expected.positions, "size of blocks");
  require_same("bytes", expected.bytes, "size of blocks");
  const nlohmann::json blocks = said("blocks");
  if (!blocks.is_number_unsigned()) refuse("it does not say how many blocks it has", kRemove);
  count_ = blocks.get<uint64_t>();
}

void CacheFile::read_blocks(const CacheFileAbout &expected, uint32_t vocabulary) {
  const Bytes file = file_.bytes();
  uint64_t at = kHeaderBytes + about_bytes_;
  for (uint64_t i = 0; i < count_; i++) {
    const auto fail = [&](const std::string &what) { refuse("block " + std::to_string(i) + " " + what, kRemove); };
    if (!range_fits(at, kRecordBytes, file.size)) fail("is not there");
    CacheFileBlock block;
    block.before = little_endian<uint32_t>(file.data + at);
    const uint64_t count = little_endian<uint32_t>(file.data + at + 4);
    at += kRecordBytes;
    if (count == 0 || count > expected.positions) fail("has " + std::to_string(count) + " tokens");
    if (block.before > i || (block.before > 0 && blocks_[block.before - 1].tokens.size() < expected.positions))
      fail("is behind none that is full");
    const auto bytes = checked_sum({4 * count, expected.bytes});
    if (!bytes || !range_fits(at, *bytes, file.size)) fail("is cut");
    for (uint64_t j = 0; j < count; j++) {
      const auto token = little_endian<uint32_t>(file.data + at + 4 * j);
      if (token >= vocabulary) fail("has a token that the model lacks");
      block.tokens.push_back(int32_t(token));
    }
    block.data = file.data + at + 4 * count;
    blocks_.push_back(std::move(block));
    at += *bytes;
  }
  if (at != file.size) refuse("more than its blocks is in it", kRemove);
}

}  // namespace gsic
