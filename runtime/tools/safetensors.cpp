#include "safetensors.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "error.h"

namespace gsic {

uint64_t TensorHeader::bytes() const {
  uint64_t size = dtype == "U8" ? 1 : dtype == "F32" ? 4 : 8;
  for (const uint64_t dimension : shape) size *= dimension;
  return size;
}

SafetensorsWriter::SafetensorsWriter(const std::string &path, const std::vector<TensorHeader> &tensors,
                                     const std::map<std::string, std::string> &metadata)
    : path_(path), partial_(path + ".partial-" + std::to_string(getpid())) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  for (const TensorHeader &tensor : tensors) {
    const uint64_t end = left_ + tensor.bytes();
    header[tensor.name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {left_, end}}};
    left_ = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  uint8_t length[8];
  for (int i = 0; i < 8; i++) length[i] = uint8_t(uint64_t(text.size()) >> (8 * i));
  file_ = std::fopen(partial_.c_str(), "wb");
  if (file_ == nullptr) fail();
  if (std::fwrite(length, 1, 8, file_) != 8 || std::fwrite(text.data(), 1, text.size(), file_) != text.size()) fail();
}

SafetensorsWriter::~SafetensorsWriter() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  unlink(partial_.c_str());
}

void SafetensorsWriter::fail() const {
  throw Error(GSIC_IO, path_ + ": cannot be written: " + system_error_text());
}

void SafetensorsWriter::write(const void *data, size_t bytes) {
  if (bytes > left_) throw Error(GSIC_INTERNAL, path_ + ": more data than the header promises");
  if (bytes > 0 && std::fwrite(data, 1, bytes, file_) != bytes) fail();
  left_ -= bytes;
}

void SafetensorsWriter::finish() {
  if (left_ != 0) throw Error(GSIC_INTERNAL, path_ + ": less data than the header promises");
  const bool closed = std::fclose(file_) == 0;
  file_ = nullptr;
  if (closed && rename(partial_.c_str(), path_.c_str()) == 0) return;
  unlink(partial_.c_str());
  fail();
}

}  // namespace gsic
