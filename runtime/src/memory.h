// Memory that the runtime maps: a file to read, and zeroed pages to work in.
#ifndef GSIC_SRC_MEMORY_H
#define GSIC_SRC_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "mapping_guard.h"

namespace gsic {

/// A run of bytes that somebody else owns.
struct Bytes {
  const uint8_t *data = nullptr;
  size_t size = 0;
};

/// A regular file, mapped read-only and private, in huge pages where the system has them for files. Where it is cut
/// while it is mapped, it is read as zeros (`MappingGuard`). Throws GSIC_IO.
class MappedFile {
 public:
  explicit MappedFile(const std::string &path);
  ~MappedFile();
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;

  Bytes bytes() const { return {data_, size_}; }
  const std::string &path() const { return path_; }
  /// Throws GSIC_IO if the file was cut, and something was read from where it was.
  void require_whole() const;

 private:
  std::string path_;
  std::optional<MappingGuard> guard_;
  uint8_t *reserved_ = nullptr;  ///< `room_` bytes of addresses, within which the file lies
  size_t room_ = 0;
  const uint8_t *data_ = nullptr;
  size_t size_ = 0;
};

/// Zeroed pages, taken from the system when they are first touched; huge pages where the block is large.
class Pages {
 public:
  Pages() = default;
  /// `what` names the block in the error message. Throws GSIC_OUT_OF_MEMORY.
  Pages(size_t bytes, const std::string &what);
  ~Pages();
  Pages(Pages &&other) noexcept;
  Pages &operator=(Pages &&other) noexcept;

  uint8_t *data() const { return data_; }
  size_t size() const { return size_; }
  /// Takes memory for a range, whose bytes stay what they are. Nothing happens where the system cannot (before Linux
  /// 5.14), or has none left.
  void populate(size_t offset, size_t bytes) const;

 private:
  uint8_t *data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace gsic

#endif
