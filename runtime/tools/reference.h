// Logits that are kept in a file, from one evaluation to the next of the same tokens.
#ifndef GSIC_TOOLS_REFERENCE_H
#define GSIC_TOOLS_REFERENCE_H

#include <cstdint>
#include <cstdio>
#include <string>

namespace gsic {

/// A file of f32 rows, in order. It appears under its name when the last row is written; a killed process leaves
/// nothing that is taken for one.
class Reference {
 public:
  /// Reads PATH if it is there, and else writes it. Throws GSIC_INVALID_ARGUMENT if it has another size, OutputError if
  /// it cannot be written.
  Reference(const std::string &path, uint64_t rows, size_t width);
  ~Reference();
  Reference(const Reference &) = delete;
  Reference &operator=(const Reference &) = delete;

  /// Whether rows can be read: PATH was there, or all have been written.
  bool complete() const { return complete_; }
  /// Reads `count` rows, from `first` on. Throws GSIC_IO.
  void read(uint64_t first, size_t count, float *rows);
  /// Writes the next `count` rows. Throws OutputError.
  void write(const float *rows, size_t count);

 private:
  std::string path_, partial_;
  size_t row_bytes_;
  uint64_t left_;  ///< rows to be written
  bool complete_;
  std::FILE *file_;
};

}  // namespace gsic

#endif
