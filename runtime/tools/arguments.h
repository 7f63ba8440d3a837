// The command line of gsic-tool: a bundle and `--name value` pairs.
#ifndef GSIC_TOOLS_ARGUMENTS_H
#define GSIC_TOOLS_ARGUMENTS_H

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "model.h"

namespace gsic {

/// A result could not be written. The message is "path: why; what next".
struct OutputError : std::runtime_error {
  explicit OutputError(const std::string &path, const std::string &why)
      : std::runtime_error("cannot be written: " + why), where(path) {}

  std::string where;
  static constexpr const char *hint = "check that the folder exists, may be written, and has room";
};

/// The command line of a subcommand. Every getter throws GSIC_INVALID_ARGUMENT with the option's name.
class Arguments {
 public:
  /// `list` begins behind the subcommand.
  explicit Arguments(const std::vector<std::string> &list);

  std::string text(const std::string &name) const;
  std::string text(const std::string &name, const std::string &otherwise) const;
  uint64_t number(const std::string &name, uint64_t least, uint64_t most) const;
  uint64_t number(const std::string &name, uint64_t least, uint64_t most, uint64_t otherwise) const;
  double real(const std::string &name, double otherwise) const;
  /// --meta KEY=VALUE, repeated.
  const std::map<std::string, std::string> &metadata() const { return metadata_; }

  /// Opens the bundle with --threads and --target. All threads take part in what is measured, if it is not about that.
  std::shared_ptr<const Model> open_model(Sharing sharing = Sharing::all) const;
  /// The same with so many threads.
  std::shared_ptr<const Model> open_model(Sharing sharing, uint32_t threads) const;
  /// The file of --ids-file: int32, little endian.
  std::vector<int32_t> ids() const;

 private:
  std::string bundle_;
  std::map<std::string, std::string> values_, metadata_;
};

/// Prints {"progress": done, "total": n} lines on standard error, at most ten a second.
class Progress {
 public:
  explicit Progress(uint64_t total);
  void report(uint64_t done);

 private:
  uint64_t total_;
  double last_ = -1;
};

/// Seconds on a steady clock.
double now();

// The subcommands; each is documented where it is defined.
void run_logits(const Arguments &arguments);
void run_evaluate(const Arguments &arguments);
void run_calibrate(const Arguments &arguments);
void run_inputs(const Arguments &arguments);
void run_sample(const Arguments &arguments);
void run_bench(const Arguments &arguments);
void run_launches(const Arguments &arguments);
void run_calls(const Arguments &arguments);
void run_step(const Arguments &arguments);
void run_linalg(const Arguments &arguments);
void run_exchange(const Arguments &arguments);
void run_machine(const Arguments &arguments);
void run_cpu(const Arguments &arguments);
void run_company(const Arguments &arguments);
void run_users(const Arguments &arguments);
void run_beside(const Arguments &arguments);

}  // namespace gsic

#endif
