// Where passes of one mode run: their launches, and the memory that these read and write.
#ifndef GSIC_SRC_PASSES_H
#define GSIC_SRC_PASSES_H

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model.h"
#include "step.h"

namespace gsic {

/// The launches of a pass.
struct PassSequences {
  std::unique_ptr<Sequence> body, head;
  std::unique_ptr<Sequence> short_body;  ///< of passes whose positions are all before `Runnable::short_end`
};

/// A program, ready to run.
struct Runnable {
  const Program *program = nullptr;
  std::vector<ResolvedLaunch> launches;  ///< of the body, then of the head
  PassSequences any;                     ///< of any number of columns
  std::optional<PassSequences> alone;    ///< of one column, where launches are told so
  std::unique_ptr<Sequence> screened;  ///< in place of the head where a column's choice is all that is wanted; or null
  int32_t short_end = 0;               ///< 0: there are no short bodies
  /// The same over groups of columns, where the device takes them: bodies, and a head for each group.
  std::unique_ptr<GroupSequence> group_body, short_group_body;
  std::vector<std::unique_ptr<Sequence>> group_heads;
};

/// One pass at a time, used by one thread at a time.
class Passes {
 public:
  /// For passes over at most `sequences` sequences, whose cache has `cache_blocks` blocks. `mode` empty: the default;
  /// `what` says in errors whose memory it is. Values of groups of columns behind the first take memory when they are
  /// first computed. Throws GSIC_INVALID_ARGUMENT (no such mode), GSIC_OUT_OF_MEMORY, GSIC_DEVICE_LOST.
  Passes(std::shared_ptr<const Model> model, const std::string &mode, size_t sequences, size_t cache_blocks,
         const std::string &what);

  const Model &model() const { return *model_; }
  /// The program that decides every token.
  const Runnable &main() const { return main_; }
  /// The program that proposes tokens; empty where nothing drafts.
  const Runnable &draft() const { return draft_; }
  bool drafts() const { return draft_.program != nullptr; }

  const StepLayout &layout() const { return layout_; }
  /// Says where blocks `first` to before `first + count` of a table lie, in floats from where the cache begins.
  void write_table(size_t table, size_t first, const int64_t *places, size_t count);
  /// Blocks of the cache, bytes of each, and where it begins.
  size_t cache_blocks() const { return cache_blocks_; }
  uint64_t block_bytes() const { return programs_.cache_bytes(); }
  /// Makes the cache larger: `blocks` blocks, or twice as many as before where there is memory, but not more than
  /// `most`. What it holds stays, launches move: those that were resolved before must not run. False, and nothing
  /// changed, where it has as many. Throws GSIC_OUT_OF_MEMORY, and then all is as it was.
  bool grow_cache(size_t blocks, size_t most);
  /// Takes memory for `bytes` of the cache now, not when something is first written there.
  void populate_cache(uint64_t begin, uint64_t bytes) { buffers_[size_t(Buffer::cache)]->populate(begin, bytes); }
  uint8_t *cache() const { return buffers_[size_t(Buffer::cache)]->address(0); }

  /// Writes what the next launches compute.
  void prepare(const gsic_step &step);
  /// Computes a pass, with the head where logits are wanted. `only_choice`: of one wanted column, `choice` is all that
  /// is asked for behind it.
  void run(const Runnable &runnable, const gsic_step &step, bool only_choice = false);
  /// Most columns of `run_groups`; GSIC_MAX_COLUMNS where there is nothing to gain.
  uint32_t most_columns() const { return uint32_t(GSIC_MAX_COLUMNS * groups_); }
  /// Computes a pass of the main program over groups of columns, each of at most GSIC_MAX_COLUMNS and with a step for
  /// its place (`StepLayout`). Columns of one sequence stand in groups in the order of their positions. A launch takes
  /// all groups before the next one begins, so that weights are read from memory once for them. For one group after
  /// another, runs the head where logits are wanted, and calls `each(group)`, which may ask for its `logits`.
  /// `only_choice` as of `run`.
  void run_groups(const std::vector<gsic_step> &steps, bool only_choice, const std::function<void(size_t group)> &each);
  /// The logits of a wanted column of the last pass, checked to be numbers; `position` is the column's. Throws
  /// GSIC_INTERNAL.
  const float *logits(const Runnable &runnable, uint32_t column, size_t position);
  /// The id of the largest of them, the lowest among equals. Throws as `logits`, and where the device computed another
  /// step than the one that was prepared.
  int32_t choice(const Runnable &runnable, uint32_t column, size_t position);
  /// Whether logits are where the host reads them, so that choosing there costs no copy.
  bool logits_are_near() const { return !main_.program->greedy; }

  /// `bytes` of a value in the arena, read through `staging`, which has room for them.
  const void *read_arena(uint64_t offset, void *staging, size_t bytes) const;
  /// Tokens of a gate's tiers: with the gate closed, and open.
  std::array<uint64_t, 2> counters(size_t gate) const;

 private:
  uint64_t bytes_of(Buffer which) const;
  void make_programs();
  Runnable make(const Program &program);
  PassSequences capture(const Program &program, const std::vector<ResolvedLaunch> &body,
                        const std::vector<ResolvedLaunch> &head) const;
  /// Bytes from the values of a group of columns to those of the next one.
  uint64_t arena_pitch() const;
  /// Each launch has its pointers for each group; those of a group lie behind those of the one before. What is at
  /// `shared` in the arena, all groups have in one place. `alone`: of passes of one column.
  std::vector<ResolvedLaunch> resolve(const std::vector<Launch> &launches, std::optional<uint64_t> shared,
                                      bool alone = false);
  uint8_t *address(const Argument &argument, size_t group, std::optional<uint64_t> shared) const;
  /// Whether the screened head does for a step.
  static bool may_screen(const Runnable &runnable, const gsic_step &step);
  [[noreturn]] void refuse_logits(size_t position) const;

  std::shared_ptr<const Model> model_;
  size_t groups_;  ///< of columns
  StepLayout layout_;
  size_t cache_blocks_;
  ModePrograms programs_;
  std::string what_;
  std::array<std::unique_ptr<DeviceMemory>, kBuffers> buffers_;  ///< none for weights
  std::unique_ptr<DeviceMemory> staging_;
  std::vector<std::vector<void *>> arguments_;
  Runnable main_, draft_;
  gsic_step step_ = {};  ///< what was prepared last
};

}  // namespace gsic

#endif
