#include "safetensors.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "error.h"

namespace gsic {

uint64_t TensorHeader::bytes() const {
  uint64_t size = dtype == "U8" ? 1 : dtype == "F32" ? 4 : 8;
  for (const uint64_t dimension : shape) size *= dimension;
  return size;
}

namespace {

/// What stands before the data: the length of the header, and the header.
std::string header_text(const std::vector<TensorHeader> &tensors, const std::map<std::string, std::string> &metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t begin = 0;
  for (const TensorHeader &tensor : tensors) {
    const uint64_t end = begin + tensor.bytes();
    header[tensor.name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string length(8, '\0');
  for (int i = 0; i < 8; i++) length[size_t(i)] = char(uint64_t(text.size()) >> (8 * i));
  return length + text;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::string &path, const std::vector<TensorHeader> &tensors,
                                     const std::map<std::string, std::string> &metadata)
    : path_(path), partial_(path + ".partial-" + std::to_string(getpid())) {
  for (const TensorHeader &tensor : tensors) left_ += tensor.bytes();
  const std::string text = header_text(tensors, metadata);
  file_ = std::fopen(partial_.c_str(), "wb");
  if (file_ == nullptr) fail();
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size()) fail();
}

SafetensorsWriter::~SafetensorsWriter() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  unlink(partial_.c_str());
}

void SafetensorsWriter::fail() const { throw OutputError(path_, system_error_text()); }

void SafetensorsWriter::write(const void *data, size_t bytes) {
  if (bytes > left_) throw Error::at(path_, GSIC_INTERNAL, "more data than the header promises");
  if (bytes > 0 && std::fwrite(data, 1, bytes, file_) != bytes) fail();
  left_ -= bytes;
}

void SafetensorsWriter::finish() {
  if (left_ != 0) throw Error::at(path_, GSIC_INTERNAL, "less data than the header promises");
  const bool closed = std::fclose(file_) == 0;
  file_ = nullptr;
  if (closed && rename(partial_.c_str(), path_.c_str()) == 0) return;
  unlink(partial_.c_str());
  fail();
}

ResumableWriter::ResumableWriter(const std::string &path, const std::vector<TensorHeader> &tensors,
                                 const std::map<std::string, std::string> &metadata, bool resume)
    : path_(path), partial_(path + ".partial" + (resume ? "" : "-" + std::to_string(getpid()))), resume_(resume) {
  const std::string header = header_text(tensors, metadata);
  uint64_t end = header.size();
  for (const TensorHeader &tensor : tensors) {
    places_[tensor.name] = {end, tensor.bytes()};
    end += tensor.bytes();
  }
  open_partial();
  if (finished_) return;
  std::string found(header.size(), '\0');
  struct stat status = {};
  if (fstat(file_, &status) != 0) fail();
  const bool same = uint64_t(status.st_size) == end && pread(file_, found.data(), found.size(), 0) >= 0;
  if (same && found == header)
    read_marks(tensors);
  else
    begin_file(header, end);
}

ResumableWriter::~ResumableWriter() {
  if (file_ < 0) return;
  if (!resume_ || marks_.empty()) unlink(partial_.c_str());
  close(file_);
}

void ResumableWriter::fail() const { throw OutputError(path_, system_error_text()); }

void ResumableWriter::open_partial() {
  for (;;) {
    file_ = open(partial_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file_ < 0 || flock(file_, LOCK_EX) != 0) fail();
    struct stat mine = {}, named = {};
    if (fstat(file_, &mine) != 0) fail();
    if (stat(partial_.c_str(), &named) == 0 && named.st_ino == mine.st_ino) break;
    close(file_);  // whoever held the lock has renamed the file, or removed it
  }
  finished_ = resume_ && access(path_.c_str(), F_OK) == 0;
  if (finished_) unlink(partial_.c_str());
}

void ResumableWriter::begin_file(const std::string &header, uint64_t bytes) {
  if (ftruncate(file_, 0) != 0) fail();
  errno = posix_fallocate(file_, 0, off_t(bytes));  // zeros, so that no mark is set
  if (errno != 0) {
    unlink(partial_.c_str());
    fail();
  }
  write_at(header.data(), header.size(), 0);
}

void ResumableWriter::read_marks(const std::vector<TensorHeader> &tensors) {
  for (const TensorHeader &tensor : tensors) {
    int64_t mark = 0;
    if (tensor.dtype != "I64" || tensor.bytes() != sizeof mark) continue;
    if (pread(file_, &mark, sizeof mark, off_t(places_.at(tensor.name).begin)) != sizeof mark) fail();
    if (mark != 0) marks_.insert(tensor.name);
  }
}

void ResumableWriter::write_at(const void *data, size_t bytes, uint64_t offset) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t count = pwrite(file_, static_cast<const char *>(data) + done, bytes - done, off_t(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail();
    done += size_t(count);
  }
}

void ResumableWriter::flush() {
  if (fdatasync(file_) != 0) fail();
}

void ResumableWriter::write(const std::string &tensor, const void *data, size_t bytes, uint64_t offset) {
  const Place &place = places_.at(tensor);
  if (offset + bytes > place.bytes) throw Error::at(path_, GSIC_INTERNAL, tensor + ": more data than it has room");
  write_at(data, bytes, place.begin + offset);
}

void ResumableWriter::complete(const std::map<std::string, int64_t> &marks) {
  flush();
  for (const auto &[mark, value] : marks) {
    write(mark, &value, sizeof value);
    marks_.insert(mark);
  }
  flush();
}

void ResumableWriter::finish() {
  if (!finished_ && rename(partial_.c_str(), path_.c_str()) != 0) fail();
  close(file_);
  file_ = -1;
}

}  // namespace gsic
