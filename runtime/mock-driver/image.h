// What the mock driver knows of code objects: enough to refuse what a driver refuses.
#ifndef GSIC_MOCK_IMAGE_H
#define GSIC_MOCK_IMAGE_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace gsic_mock {

/// A code object. AMD's are ELF, NVIDIA's are PTX text with a closing NUL.
struct Image {
  bool is_text = false;
  std::string architecture;  ///< gfx942, sm_90; empty if unknown
  std::string content;       ///< the text, or the ELF file; empty for an ELF header without sections
  uint64_t most_lds = 0;     ///< bytes of static LDS that the architecture has for a workgroup
  uint64_t version = 0;      ///< of the code object, AMD's alone; 0 if its header does not say

  /// Whether it has a kernel of that name; an ELF header without sections has every one.
  bool has(const std::string &kernel) const;
};

/// Reads an ELF file for AMD's GPUs. False if it is none.
bool read_elf(const void *data, Image &image);
/// Reads PTX. False if it is none.
bool read_ptx(const void *data, Image &image);
/// The path of the file that an address is mapped from, up to the first blank, as HIP reads it from /proc/self/maps;
/// empty if it is mapped from none.
std::string mapped_from(const void *address);
/// Whether a device of an architecture (empty: of every) runs an image.
bool runs_on(const Image &image, const std::string &architecture);

}  // namespace gsic_mock

#endif
