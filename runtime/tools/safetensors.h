// Writes .safetensors files front to back, so that nothing has to be held in memory.
#ifndef GSIC_TOOLS_SAFETENSORS_H
#define GSIC_TOOLS_SAFETENSORS_H

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace gsic {

struct TensorHeader {
  std::string name;
  std::string dtype;  ///< F32, F64, I64 or U8
  std::vector<uint64_t> shape;

  uint64_t bytes() const;
};

/// The file appears under its name when `finish` is called; before that, and after a failure, it does not exist.
class SafetensorsWriter {
 public:
  /// Throws GSIC_IO.
  SafetensorsWriter(const std::string &path, const std::vector<TensorHeader> &tensors,
                    const std::map<std::string, std::string> &metadata);
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter &) = delete;
  SafetensorsWriter &operator=(const SafetensorsWriter &) = delete;

  /// The next bytes of the data: tensors follow each other in the order of the constructor.
  void write(const void *data, size_t bytes);
  template <typename Number> void write(const std::vector<Number> &values) {
    write(values.data(), values.size() * sizeof(Number));
  }
  void finish();

 private:
  [[noreturn]] void fail() const;

  std::string path_, partial_;
  std::FILE *file_;
  uint64_t left_ = 0;
};

}  // namespace gsic

#endif
