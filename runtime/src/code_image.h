// A CPU's machine code in memory: one shared object of a bundle.
#ifndef GSIC_SRC_CODE_IMAGE_H
#define GSIC_SRC_CODE_IMAGE_H

#include <memory>
#include <string>
#include <vector>

#include "memory.h"

namespace gsic {

/// Loading it runs what the object asks to be run when it is loaded: its hash is checked before.
class CodeImage {
 public:
  /// `name` is the section's, for messages. Throws GSIC_BAD_BUNDLE, GSIC_IO.
  CodeImage(Bytes code, const std::string &name);
  ~CodeImage();
  CodeImage(const CodeImage &) = delete;
  CodeImage &operator=(const CodeImage &) = delete;

  /// A function of this image; null if it has none of that name, whatever the libraries have that it is linked with.
  void *function(const std::string &symbol) const;
  /// The instruction sets that the compiler was allowed to use, as the code itself says.
  const std::vector<std::string> &features() const { return features_; }

 private:
  struct Loaded;

  void *find(const char *symbol, int kind) const;

  std::unique_ptr<Loaded> loaded_;
  std::vector<std::string> features_;
};

}  // namespace gsic

#endif
