// An opened bundle on a device: what sessions share.
#ifndef GSIC_SRC_MODEL_H
#define GSIC_SRC_MODEL_H

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bundle.h"
#include "device.h"
#include "error.h"
#include "manifest.h"
#include "tokenizer.h"

namespace gsic {

struct OpenOptions {
  uint32_t threads = 0;  ///< 0: the CPUs that this process may use; of no interest to a GPU
  std::string target;    ///< empty: the first in the bundle that this machine can run
  uint32_t device = 0;   ///< a GPU's number, as of `open_gpu`; of no interest to a CPU
  bool verify_weights = true;
  Sharing sharing = Sharing::measured;  ///< of a CPU's workers
};

/// What a mode runs.
struct ModePrograms {
  const Program *main;             ///< decides every token
  const Program *draft = nullptr;  ///< proposes tokens; null where none does

  /// Of a block of the cache, which both programs reach.
  uint64_t cache_bytes() const {
    return draft == nullptr ? main->cache_bytes : std::max(main->cache_bytes, draft->cache_bytes);
  }
};

/// Immutable once open; any number of threads may use it.
class Model {
 public:
  /// Throws GSIC_IO, GSIC_BAD_BUNDLE, GSIC_NO_DEVICE, GSIC_INVALID_ARGUMENT, GSIC_OUT_OF_MEMORY, GSIC_DEVICE_LOST.
  Model(const std::string &path, const OpenOptions &options);

  const Manifest &manifest() const { return manifest_; }
  const Target &target() const { return *target_; }
  Device &device() const { return *device_; }
  uint8_t *weights(uint64_t offset) const { return weights_->address(offset); }
  /// The loaded kernel of an index that the manifest has.
  void *kernel(uint32_t index) const { return module_->kernel(index); }

  /// Null if the bundle has none.
  const Tokenizer *tokenizer() const { return tokenizer_ ? &*tokenizer_ : nullptr; }
  /// Throws GSIC_NO_TOKENIZER.
  const Tokenizer &require_tokenizer() const;
  /// Token id, or -1.
  int32_t end_of_text() const { return tokenizer_ ? tokenizer_->eos() : -1; }

  /// What a mode, empty for the default, runs. Throws GSIC_INVALID_ARGUMENT.
  ModePrograms programs(const std::string &mode) const;
  /// The modes, separated by commas, the default first.
  const std::string &mode_list() const { return mode_list_; }
  const std::string &path() const { return bundle_.path(); }
  /// A hash of all sections of the bundle, as text.
  std::string build() const { return hexadecimal(bundle_.table_hash()); }

 private:
  /// Takes the first target of that name, or of any, whose device is there and loads its code.
  void choose(const OpenOptions &options);
  /// Opens a target's device and loads its code. Throws GSIC_NO_DEVICE where this machine cannot run it.
  void open(const Target &target, const OpenOptions &options);
  void load_tokenizer();

  Bundle bundle_;
  Manifest manifest_;
  std::string mode_list_;
  const Target *target_ = nullptr;
  std::unique_ptr<Device> device_;
  std::unique_ptr<DeviceMemory> weights_;
  std::unique_ptr<Module> module_;
  std::optional<Tokenizer> tokenizer_;
};

}  // namespace gsic

#endif
