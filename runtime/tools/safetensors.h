// Writes .safetensors files piece by piece, so that nothing has to be held in memory.
#ifndef GSIC_TOOLS_SAFETENSORS_H
#define GSIC_TOOLS_SAFETENSORS_H

#include <cstdint>
#include <cstdio>
#include <map>
#include <set>
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
  /// Throws OutputError.
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

/// A file whose tensors are written in groups, in any order, and which a killed process leaves for the next one to go
/// on with. A group is complete when its `mark`, an I64 [1] that is never 0, has reached the disk behind the rest.
/// Until `finish` the file is PATH.partial, which one process at a time works on: others wait.
class ResumableWriter {
 public:
  /// Takes over what is there if its header is the same and `resume` is set; else begins a new file, whose space is
  /// reserved at once. What is not finished goes, unless `resume` is set and a group is complete. Throws GSIC_IO.
  ResumableWriter(const std::string &path, const std::vector<TensorHeader> &tensors,
                  const std::map<std::string, std::string> &metadata, bool resume);
  ~ResumableWriter();
  ResumableWriter(const ResumableWriter &) = delete;
  ResumableWriter &operator=(const ResumableWriter &) = delete;

  /// Whether the group of this mark is complete; all are where another process finished the file in the meantime.
  bool complete(const std::string &mark) const { return finished_ || marks_.count(mark) != 0; }
  /// Writes a part of a tensor, `offset` bytes from its beginning.
  void write(const std::string &tensor, const void *data, size_t bytes, uint64_t offset = 0);
  template <typename Number>
  void write(const std::string &tensor, const std::vector<Number> &values, uint64_t offset = 0) {
    write(tensor, values.data(), values.size() * sizeof(Number), offset);
  }
  /// Marks groups as complete, after what was written for them.
  void complete(const std::map<std::string, int64_t> &marks);
  /// The file appears under its name. Every mark must be complete.
  void finish();

 private:
  struct Place {
    uint64_t begin, bytes;
  };

  [[noreturn]] void fail() const;
  void open_partial();
  void begin_file(const std::string &header, uint64_t bytes);
  void read_marks(const std::vector<TensorHeader> &tensors);
  void write_at(const void *data, size_t bytes, uint64_t offset);
  void flush();

  std::string path_, partial_;
  bool resume_, finished_ = false;
  int file_ = -1;
  std::map<std::string, Place> places_;
  std::set<std::string> marks_;
};

}  // namespace gsic

#endif
