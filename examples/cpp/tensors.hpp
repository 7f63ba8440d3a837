// Reads the vectors and tables of a safetensors file that a host needs beside the linears.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace example {

/// Tensors of bf16, by name, as f32. Throws std::runtime_error.
class Tensors {
 public:
  explicit Tensors(const std::string &path) : file_(path, std::ios::binary) {
    uint64_t bytes = 0;
    file_.read(reinterpret_cast<char *>(&bytes), sizeof bytes);
    if (!file_ || bytes > (uint64_t(1) << 26)) throw std::runtime_error(path + ": is no safetensors file");
    std::string header(bytes, ' ');
    file_.read(header.data(), std::streamsize(bytes));
    header_ = nlohmann::json::parse(header);
    begin_ = sizeof bytes + bytes;
  }

  std::vector<float> read(const std::string &name) {
    const auto &entry = header_.at(name);
    if (entry.at("dtype") != "BF16") throw std::runtime_error(name + ": is not of bf16");
    const uint64_t first = entry.at("data_offsets").at(0), last = entry.at("data_offsets").at(1);
    std::vector<uint16_t> stored((last - first) / sizeof(uint16_t));
    file_.seekg(std::streamoff(begin_ + first));
    file_.read(reinterpret_cast<char *>(stored.data()), std::streamsize(last - first));
    if (!file_) throw std::runtime_error(name + ": the file ends early");
    std::vector<float> values(stored.size());
    for (size_t i = 0; i < stored.size(); i++) {
      const uint32_t bits = uint32_t(stored[i]) << 16;
      std::memcpy(&values[i], &bits, sizeof bits);
    }
    return values;
  }

 private:
  std::ifstream file_;
  nlohmann::json header_;
  uint64_t begin_ = 0;
};

}  // namespace example
