#include "code_image.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "error.h"

namespace gsic {
namespace {

/// What the code's own constant is called; templates/include/gsic/code_features.h.
constexpr const char *kFeatures = "gsic_code_features";

/// A file that exists as long as this object, and that the dynamic loader can open.
class CodeFile {
 public:
  CodeFile() {
    number_ = memfd_create("gsic-kernels", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (number_ >= 0) {
      path_ = "/proc/self/fd/" + std::to_string(number_);
      if (access(path_.c_str(), R_OK) == 0) return;
      close(number_);
    }
    const char *folder = std::getenv("TMPDIR");
    path_ = std::string(folder != nullptr ? folder : "/tmp") + "/gsic-XXXXXX";
    number_ = mkstemp(path_.data());
    if (number_ < 0) throw Error::at(path_, GSIC_IO, "cannot be made, to load kernels from: " + system_error_text());
    temporary_ = true;
  }
  ~CodeFile() {
    unlink_now();
    close(number_);
  }
  CodeFile(const CodeFile &) = delete;
  CodeFile &operator=(const CodeFile &) = delete;

  const std::string &path() const { return path_; }

  void write(Bytes code) {
    while (code.size > 0) {
      const ssize_t written = ::write(number_, code.data, code.size);
      if (written <= 0)
        throw Error::at(path_, GSIC_IO, "cannot be written, to load kernels from: " + system_error_text());
      code.data += written;
      code.size -= size_t(written);
    }
  }

  /// Lets nobody change what was written, where the file is nobody's but this process's anyway.
  void seal() {
    if (!temporary_) fcntl(number_, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
  }

  /// Removes the name of a temporary file; a library that is loaded from it stays.
  void unlink_now() {
    if (temporary_) unlink(path_.c_str());
    temporary_ = false;
  }

 private:
  int number_ = -1;
  std::string path_;
  bool temporary_ = false;
};

/// Where the loader put a library; null if it does not say.
const void *base_of(void *handle) {
  struct link_map *map = nullptr;
  Dl_info info = {};
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || dladdr(map->l_ld, &info) == 0) return nullptr;
  return info.dli_fbase;
}

}  // namespace

struct CodeImage::Loaded {
  explicit Loaded(Bytes code, const std::string &name) {
    file.write(code);
    file.seal();
    handle = dlopen(file.path().c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr)
      throw Error(GSIC_BAD_BUNDLE, "the code of section '" + name + "' cannot be loaded: " + dlerror());
    file.unlink_now();
    base = base_of(handle);
  }
  ~Loaded() { dlclose(handle); }
  Loaded(const Loaded &) = delete;
  Loaded &operator=(const Loaded &) = delete;

  /// The file stays open: the loader knows libraries by path, and a descriptor's number is only unique while it is
  /// open.
  CodeFile file;
  void *handle = nullptr;
  const void *base = nullptr;
};

CodeImage::CodeImage(Bytes code, const std::string &name) : loaded_(std::make_unique<Loaded>(code, name)) {
  const auto *text = static_cast<const char *>(find(kFeatures, STT_OBJECT));
  if (text == nullptr)
    throw Error(GSIC_BAD_BUNDLE, "the code of section '" + name + "' does not say which instruction sets it uses",
                "build the model again with this gsic");
  std::istringstream words(text);
  for (std::string word; words >> word;) features_.push_back(word);
}

CodeImage::~CodeImage() = default;

void *CodeImage::function(const std::string &symbol) const { return find(symbol.c_str(), STT_FUNC); }

void *CodeImage::find(const char *symbol, int kind) const {
  // dlsym also finds what the image's own dependencies have: every function of the C library, for one.
  void *found = dlsym(loaded_->handle, symbol);
  Dl_info info = {};
  void *entry = nullptr;
  if (found == nullptr || dladdr1(found, &info, &entry, RTLD_DL_SYMENT) == 0) return nullptr;
  const bool own = loaded_->base != nullptr && info.dli_fbase == loaded_->base && info.dli_saddr == found;
  if (!own || entry == nullptr) return nullptr;
  return ELF64_ST_TYPE(static_cast<const ElfW(Sym) *>(entry)->st_info) == kind ? found : nullptr;
}

}  // namespace gsic
