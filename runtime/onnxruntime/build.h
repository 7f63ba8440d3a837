// The linears of a gsic build, opened once for all nodes of all sessions of a process that name it.
#ifndef GSIC_ONNXRUNTIME_BUILD_H
#define GSIC_ONNXRUNTIME_BUILD_H

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gsic.h"

namespace gsic_onnxruntime {

struct Library;

/// An opened build: the folder that `gsic build` writes, its shared library, and the model in it.
class Build {
 public:
  /// Throws std::runtime_error: no such folder, no build in it, or what gsic_open says.
  explicit Build(const std::string &folder);
  ~Build();

  const std::string &folder() const { return folder_; }
  const Library &library() const { return *library_; }
  gsic_model *model() const { return model_; }
  /// Throws std::runtime_error with the library's message unless `status` is GSIC_OK.
  void check(gsic_status status) const;

 private:
  std::string folder_;
  std::unique_ptr<Library> library_;
  gsic_model *model_ = nullptr;
};

/// A tensor of the source model, as columns of a call.
struct Columns {
  uint32_t call, d;
  uint32_t first, count;  ///< of the call's y
  uint32_t width;         ///< columns of the call's y
};

/// The linears of a build in one mode.
class Linears {
 public:
  /// `mode` empty: the build's default. Throws std::runtime_error.
  Linears(std::shared_ptr<const Build> build, const std::string &mode);
  ~Linears();

  /// Throws std::runtime_error where the build has no such tensor, or computes its rows apart.
  const Columns &find(const std::string &tensor) const;
  /// x [rows, d] to y [rows, width]. Threads take turns, as the C interface asks for: each call uses all of gsic's
  /// threads anyway. Throws std::runtime_error.
  void run(uint32_t call, const float *x, size_t rows, float *y);

 private:
  std::shared_ptr<const Build> build_;
  gsic_linears *linears_ = nullptr;
  std::mutex turn_;
  std::map<std::string, Columns> by_tensor_;
};

/// The linears of a build in a mode, which all who ask share as long as one of them holds them. Throws
/// std::runtime_error.
std::shared_ptr<Linears> open_linears(const std::string &folder, const std::string &mode);

}  // namespace gsic_onnxruntime

#endif
