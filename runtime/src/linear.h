// The linears of a program, one call at a time, for hosts that run the rest of the model themselves.
#ifndef GSIC_SRC_LINEAR_H
#define GSIC_SRC_LINEAR_H

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "model.h"

namespace gsic {

/// The memory in which the calls of one mode run: small buffers of its own; weights are the model's. Calls follow each
/// other: a second one at the same time is GSIC_BUSY, and calls by device pointers share one stream.
class Linears {
 public:
  /// `mode` empty: the default. Throws GSIC_INVALID_ARGUMENT (no such mode, or a bundle without calls),
  /// GSIC_OUT_OF_MEMORY, GSIC_DEVICE_LOST.
  Linears(std::shared_ptr<const Model> model, const std::string &mode);

  const std::vector<LinearCall> &calls() const { return calls_; }

  /// x [columns, x.width] and y [columns, y.width] in the host's memory. Throws GSIC_INVALID_ARGUMENT, GSIC_BUSY,
  /// GSIC_DEVICE_LOST.
  void run(size_t call, const float *x, size_t columns, float *y);
  /// The same in a GPU's memory, queued on a stream of its driver; `x` and `y` must live until that is done. Throws as
  /// `run`.
  void enqueue(size_t call, const float *x, size_t columns, float *y, void *stream);

 private:
  class Claim;

  const LinearCall &find(size_t call) const;
  void write_steps();
  uint8_t *at(Buffer buffer, uint64_t offset) const;
  /// Queues the launches of one pass, with x and y in device memory, laid out as in the arena.
  void launch(const LinearCall &call, uint32_t columns, uint8_t *x, uint8_t *y, void *stream);
  void write_input(const Block &block, const float *x, uint32_t columns);
  void read_output(const Block &block, uint32_t columns, float *y);
  void enqueue_pass(const LinearCall &call, const float *x, uint32_t columns, float *y, void *stream);

  std::shared_ptr<const Model> model_;
  const std::vector<LinearCall> &calls_;
  /// One `gsic_step` for each number of columns, so that no call has to write one.
  std::unique_ptr<DeviceMemory> arena_, counters_, steps_, staging_;
  std::atomic<bool> busy_{false};
};

}  // namespace gsic

#endif
