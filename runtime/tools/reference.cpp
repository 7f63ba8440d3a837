#include "reference.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "arguments.h"
#include "error.h"

namespace gsic {

Reference::Reference(const std::string &path, uint64_t rows, size_t width)
    : path_(path), partial_(path + ".part"), row_bytes_(width * sizeof(float)), left_(rows) {
  struct stat found;
  complete_ = stat(path.c_str(), &found) == 0;
  if (complete_ && uint64_t(found.st_size) != rows * row_bytes_)
    throw Error(GSIC_INVALID_ARGUMENT, path + ": not the logits of these tokens: another size");
  file_ = std::fopen(complete_ ? path_.c_str() : partial_.c_str(), complete_ ? "rb" : "wb+");
  if (file_ == nullptr) throw OutputError(path, system_error_text());
}

Reference::~Reference() {
  std::fclose(file_);
  if (!complete_) unlink(partial_.c_str());
}

void Reference::read(uint64_t first, size_t count, float *rows) {
  if (fseeko(file_, off_t(first * row_bytes_), SEEK_SET) != 0 || std::fread(rows, row_bytes_, count, file_) != count)
    throw Error(GSIC_IO, path_ + ": cannot be read: " + system_error_text());
}

void Reference::write(const float *rows, size_t count) {
  if (std::fwrite(rows, row_bytes_, count, file_) != count) throw OutputError(path_, system_error_text());
  left_ -= count;
  if (left_ != 0) return;
  if (std::fflush(file_) != 0 || rename(partial_.c_str(), path_.c_str()) != 0)
    throw OutputError(path_, system_error_text());
  complete_ = true;
}

}  // namespace gsic
