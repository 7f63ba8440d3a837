// Many requests at once: each pass takes tokens of several texts, and reads the weights once for all of them. A
// request's text is, bit for bit, what gsic_generate writes for it alone: kernels give a column the same bits in any
// company.
//
// A pass has up to 16 columns, or several groups of so many where the device takes them. Texts that are being written
// have a column each, those that waited longest before others. Where prompts are to be read besides, these have the
// rest of the pass, or one of their own in front of it (PassShares). Of prompts the one that is due first goes before
// others: it is due when it came, plus its length, so that short ones go first, and no prompt waits for more than a few
// times its own length.
#ifndef GSIC_SRC_BATCH_H
#define GSIC_SRC_BATCH_H

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>

#include "batch_text.h"
#include "cache_file.h"
#include "pass_shares.h"
#include "passes.h"

namespace gsic {

struct BatchOptions {
  std::string mode;          ///< empty: the default
  uint64_t cache_bytes = 0;  ///< of all texts together; 0: sixteen contexts, or half of what a GPU has free
};

/// Requests are made, cancelled and read on any thread; passes run on one at a time.
class Batch {
 public:
  /// Throws GSIC_INVALID_ARGUMENT (no such mode, or a budget that holds no context), GSIC_OUT_OF_MEMORY,
  /// GSIC_DEVICE_LOST.
  Batch(std::shared_ptr<const Model> model, const BatchOptions &options);

  /// A ticket that no other request has. Throws GSIC_INVALID_ARGUMENT, GSIC_CONTEXT_FULL.
  uint64_t submit(BatchRequest request);
  /// The request ends with the next pass. Nothing happens if it has ended.
  void cancel(uint64_t ticket);
  /// Says what may come next in a constrained text. Throws GSIC_INVALID_ARGUMENT.
  void allow(uint64_t ticket, const gsic_allowed &allowed);
  /// The reader took so many tokens.
  void taken(uint64_t ticket, size_t tokens);
  /// Runs a pass, and shows what came of it; waits for something to do, but not longer than `wait`. Throws GSIC_BUSY
  /// where another thread does so, GSIC_DEVICE_LOST and others that end all requests.
  void run(std::chrono::milliseconds wait);

  /// Writes what the cache holds to a file, which `load_cache` of a batch of the same build, target and program reads
  /// while its own is empty, as much of it as there is room for; what was used last first. The result: of how many
  /// tokens. No thread may run passes meanwhile. Throws GSIC_BUSY, GSIC_IO, GSIC_DEVICE_LOST.
  uint64_t save_cache(const std::string &path);
  /// Throws besides GSIC_BAD_BUNDLE (the file is cut, damaged, or of something else), GSIC_INVALID_ARGUMENT (the cache
  /// is not empty). If it throws, the cache is empty.
  uint64_t load_cache(const std::string &path);

  gsic_batch_counts counts() const;
  const Model &model() const { return passes_.model(); }

 private:
  using Text = std::shared_ptr<BatchText>;
  /// Columns of a text in a group of a pass: `count` tokens behind those that are computed, or behind its piece in the
  /// group before; then its proposals.
  struct Piece {
    BatchText *text;
    size_t count;
    uint32_t column = 0;  ///< the first, in its group
    size_t group = 0;
  };

  /// Says to `running` that a thread runs passes, as long as it lives. Throws GSIC_BUSY.
  class Turn {
   public:
    Turn(std::mutex &mutex, bool &running);
    ~Turn();
    Turn(const Turn &) = delete;
    Turn &operator=(const Turn &) = delete;

   private:
    std::mutex &mutex_;
    bool &running_;
  };

  /// What the cache is of, without its blocks.
  CacheFileAbout about_cache() const;
  static size_t blocks_of(const Model &model, const BatchOptions &options);
  /// Takes new requests; waits until there is something to do, but not longer than `wait`.
  void collect(std::chrono::milliseconds wait);
  /// Gives texts the answers that came, under the lock.
  void take_answers();
  /// Whether a text can go on, or was cancelled.
  bool has_work() const;
  void end_cancelled();
  void run_pass();
  /// Forgets texts that have ended, and publishes the counts.
  void settle();

  // What a pass computes (batch_choose.cpp).

  std::vector<Piece> choose();
  /// What prompts have of it, and so many texts that are written.
  PassShare share_columns(size_t writing, const std::vector<BatchText *> &reading) const;
  /// Adds up to `most` tokens of a text, as many as there are blocks for; how many.
  size_t add_piece(std::vector<Piece> &pieces, BatchText &text, size_t most);
  /// Whether another text is about to compute what this one begins with.
  bool waits_for_another(const BatchText &text) const;
  /// Finds what the cache has of a text already.
  void attach(BatchText &text);
  void detach(BatchText &text);
  /// Takes blocks for the first `length` tokens, or as many as there are: later requests, and those whose readers
  /// pause, give way where this pass does not need them.
  void grow(BatchText &text, size_t length);
  /// Takes memory for blocks that texts and newcomers will need next, a little behind each pass: where all of them come
  /// to the end of a block in one pass, the system would take tens of milliseconds for it then. Behind a pass that read
  /// prompts, only what the next block needs, since that is when texts wait longest.
  void populate_ahead(PassShare passed, double pass_seconds);
  /// Takes blocks that nobody holds; the length for which there are enough then, at most `length`.
  size_t grow_freely(BatchText &text, size_t length);

  // Drafts (batch_draft.cpp).

  /// Adds proposals to pieces, which all write, as long as there are `room` columns.
  void propose(const std::vector<Piece> &pieces, size_t room);
  /// Proposes what constrained texts are bound to go on with; how many tokens.
  size_t propose_foreseen(const std::vector<Piece> &pieces, size_t room);
  /// Proposes what stood behind an earlier place that is like the text's end; how many tokens.
  size_t look_up(BatchText &text, size_t most);
  /// Texts for which one more draft pays, if `room` columns are left.
  std::vector<BatchText *> worth_drafting(const std::vector<BatchText *> &texts, size_t room) const;
  /// Runs the draft program behind each of the texts, and adds what it chose to their proposals.
  void draft(const std::vector<BatchText *> &texts);
  /// Learns from proposals, of which so many were accepted, and forgets them.
  void learn(BatchText &text, size_t accepted);

  // Passes, and what comes of them (batch_pass.cpp).

  /// Whether the largest logit of each wanted column is all that the pieces need.
  static bool only_choices(const std::vector<Piece> &pieces);
  /// A step for each group of columns. Pieces that do not fit in a group are cut.
  std::vector<gsic_step> make_steps(std::vector<Piece> &pieces);
  /// Adds a run of columns to the step of a group: tokens of the text from `position` on, then its proposals.
  void add_run(gsic_step &step, BatchText &text, size_t position, size_t count, size_t group = 0);
  /// The table in which a text's blocks stand.
  size_t table_of(BatchText &text);
  void finish(const Piece &piece);
  /// Tells of tokens of the prompt, by the logits of a piece that began at position `first`.
  void score(const Piece &piece, size_t first);
  /// Chooses tokens behind a piece, as long as they are the proposed ones.
  void write(const Piece &piece);
  /// Notes that the next `count` tokens are in the cache.
  void record(BatchText &text, size_t count);
  /// The token behind `past`, by the logits of a column.
  Choice pick(BatchText &text, const Runnable &runnable, uint32_t column, const Past &past,
              const uint32_t *mask = nullptr);
  /// Fills in how likely the token of an event was by the logits of a column, behind `position` tokens.
  void tell(const BatchText &text, uint32_t column, size_t position, BatchEvent &event);
  /// Appends the token of an event; whether the text goes on.
  bool append(BatchText &text, BatchEvent event);
  void end(BatchText &text, gsic_end why, gsic_status status = GSIC_OK, const std::string &reason = {});
  void end(BatchText &text, BatchEvent event);

  Passes passes_;
  BlockPool pool_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Text> inbox_;
  std::map<uint64_t, Text> texts_;  ///< all that have not ended, by their tickets
  uint64_t tickets_ = 0;
  gsic_batch_counts counts_ = {};  ///< as of the end of the last pass
  bool running_ = false;

  // Of the thread that runs passes.
  std::vector<Text> active_;  ///< in the order in which they came
  struct Table {
    uint64_t version = 0, pass = 0;
    size_t written = 0;
  };
  std::vector<Table> tables_;
  uint64_t pass_ = 0, versions_ = 0, columns_ = 0;
  Pace pace_;
  PassShares shares_;
  uint64_t populated_ = 0;        ///< bytes of the cache that memory was taken for
  double written_ = 0;            ///< when the last pass ended that went on with texts
  uint64_t drafted_ = 0;          ///< the last pass with drafts
  gsic_batch_counts tally_ = {};  ///< sums so far
};

}  // namespace gsic

#endif
