#include "image.h"

#include <elf.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace gsic_mock {
namespace {

constexpr uint16_t kMachineAmdgpu = 224;
/// What EI_ABIVERSION is less than the version of a code object.
constexpr uint64_t kVersionOffset = 2;
/// The machine in e_flags (EF_AMDGPU_MACH).
constexpr uint32_t kMachineMask = 0xff;

struct Architecture {
  uint32_t number;
  const char *name;
};
constexpr Architecture kArchitectures[] = {
    {0x2f, "gfx906"}, {0x30, "gfx908"}, {0x3f, "gfx90a"}, {0x40, "gfx940"}, {0x4c, "gfx942"}, {0x4f, "gfx950"},
};

}  // namespace

bool read_elf(const void *data, Image &image) {
  Elf64_Ehdr header;
  if (std::memcmp(data, ELFMAG, SELFMAG) != 0) return false;
  std::memcpy(&header, data, sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != kMachineAmdgpu) return false;
  for (const Architecture &known : kArchitectures)
    if (known.number == (header.e_flags & kMachineMask)) image.architecture = known.name;
  image.most_lds = (image.architecture == "gfx950" ? 160u : 64u) << 10;
  if (header.e_ident[EI_ABIVERSION] != 0) image.version = header.e_ident[EI_ABIVERSION] + kVersionOffset;
  // The table of sections is what a linker writes last.
  if (header.e_shnum > 0)
    image.content.assign(static_cast<const char *>(data),
                         header.e_shoff + uint64_t(header.e_shnum) * header.e_shentsize);
  return true;
}

std::string mapped_from(const void *address) {
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    uintptr_t begin = 0, end = 0;
    char dash = 0;
    std::string access, offset, device, path;
    uint64_t inode = 0;
    words >> std::hex >> begin >> dash >> end >> access >> offset >> device >> std::dec >> inode >> path;
    if (wanted >= begin && wanted < end) return inode != 0 ? path : "";
  }
  return "";
}

bool read_ptx(const void *data, Image &image) {
  const char *text = static_cast<const char *>(data);
  if (std::memcmp(text, ELFMAG, SELFMAG) == 0) return false;
  image.is_text = true;
  image.content = text;
  image.most_lds = 48u << 10;
  const size_t target = image.content.find(".target ");
  if (image.content.find(".version ") == std::string::npos || target == std::string::npos) return false;
  const size_t begin = target + std::strlen(".target ");
  image.architecture = image.content.substr(begin, image.content.find_first_of(", \n", begin) - begin);
  return image.architecture.rfind("sm_", 0) == 0;
}

bool Image::has(const std::string &kernel) const {
  if (is_text) return content.find(".entry " + kernel + "(") != std::string::npos;
  return content.empty() || content.find('\0' + kernel + ".kd" + '\0') != std::string::npos;
}

bool runs_on(const Image &image, const std::string &architecture) {
  if (architecture.empty()) return true;
  if (!image.is_text) return image.architecture == architecture;
  // PTX for an older device runs on newer ones.
  const char *needed = image.architecture.c_str() + std::strlen("sm_");
  const size_t prefix = architecture.rfind("sm_", 0) == 0 ? std::strlen("sm_") : architecture.size();
  return std::atoi(needed) <= std::atoi(architecture.c_str() + prefix);
}

}  // namespace gsic_mock
