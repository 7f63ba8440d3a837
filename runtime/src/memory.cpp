#include "memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "error.h"

namespace gsic {
namespace {

constexpr size_t kHugePage = size_t(2) << 20;
/// MADV_POPULATE_WRITE, which older headers lack.
constexpr int kPopulateWrite = 23;

/// Closes a file descriptor at the end of a scope.
struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) close(number);
  }
};

[[noreturn]] void cannot_read(const std::string &path, const std::string &why) {
  throw Error::at(path, GSIC_IO, "cannot be read: " + why);
}

}  // namespace

std::string system_error_text() { return std::strerror(errno); }

std::string hexadecimal(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%016llx", static_cast<unsigned long long>(value));
  return text;
}

MappedFile::MappedFile(const std::string &path) : path_(path) {
  // Non-blocking, so that a FIFO is refused below instead of waited for.
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.number < 0) cannot_read(path, system_error_text());
  struct stat status = {};
  if (fstat(file.number, &status) != 0) cannot_read(path, system_error_text());
  if (!S_ISREG(status.st_mode)) cannot_read(path, "it is not a regular file");
  size_ = size_t(status.st_size);
  if (size_ == 0) return;
  const bool huge = size_ >= kHugePage;
  // Room in which the file can begin where a huge page does.
  room_ = size_ + (huge ? kHugePage : 0);
  void *reserved = mmap(nullptr, room_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) cannot_read(path, system_error_text());
  reserved_ = static_cast<uint8_t *>(reserved);
  const size_t into = reinterpret_cast<uintptr_t>(reserved_) % kHugePage;
  uint8_t *const place = reserved_ + (huge && into > 0 ? kHugePage - into : 0);
  if (mmap(place, size_, PROT_READ, MAP_PRIVATE | MAP_FIXED, file.number, 0) == MAP_FAILED) {
    const std::string why = system_error_text();
    munmap(reserved_, room_);
    cannot_read(path, why);
  }
  data_ = place;
  guard_.emplace(place, size_);
  // What is not in memory yet is then read huge page by huge page, where the file system can (ext4 since Linux 6.16,
  // XFS); to ask for all of it ahead would read it in small ones.
  if (huge) madvise(place, size_, MADV_HUGEPAGE);
}

MappedFile::~MappedFile() {
  guard_.reset();
  if (reserved_ != nullptr) munmap(reserved_, room_);
}

void MappedFile::require_whole() const {
  if (guard_ && guard_->lost())
    throw Error::at(path_, GSIC_IO, "the file was cut while it was in use", "put it back, and open it again");
}

Pages::Pages(size_t bytes, const std::string &what) : size_(std::max<size_t>(bytes, 64)) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void *mapped = mmap(nullptr, size_, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (mapped == MAP_FAILED)
    throw Error(GSIC_OUT_OF_MEMORY, "the system has no " + std::to_string(size_) + " bytes for " + what +
                                        ": close other programs, or build the model with a shorter context");
  data_ = static_cast<uint8_t *>(mapped);
  if (size_ >= 2 * kHugePage) madvise(mapped, size_, MADV_HUGEPAGE);
}

void Pages::populate(size_t offset, size_t bytes) const {
  const auto page = size_t(sysconf(_SC_PAGESIZE));
  const size_t begin = offset / page * page, end = std::min(size_, offset + bytes);
  if (begin < end) madvise(data_ + begin, end - begin, kPopulateWrite);
}

Pages::~Pages() {
  if (data_ != nullptr) munmap(data_, size_);
}

Pages::Pages(Pages &&other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Pages &Pages::operator=(Pages &&other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace gsic
