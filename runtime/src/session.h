// One sequence of tokens: its memory, and the passes that append to it.
#ifndef GSIC_SRC_SESSION_H
#define GSIC_SRC_SESSION_H

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "draft_policy.h"
#include "passes.h"

namespace gsic {

/// Called with 0, 1, ... and the logits [vocabulary] of the wanted tokens in order.
using LogitsVisitor = std::function<void(size_t index, const float *logits)>;
/// Called with the index of a tap in Program::taps, and `columns` rows of its value, `stride` floats apart.
using TapVisitor = std::function<void(size_t tap, const float *rows, uint32_t columns)>;

/// Used by one thread at a time.
class Session {
 public:
  /// `mode` empty: the default. Throws GSIC_INVALID_ARGUMENT, GSIC_OUT_OF_MEMORY, GSIC_DEVICE_LOST.
  Session(std::shared_ptr<const Model> model, const std::string &mode);

  /// Appends tokens, and shows the logits of the last `wanted` of them; a token that append_later left counts as the
  /// first. If it throws, the session is as it was. Throws GSIC_INVALID_ARGUMENT (a token id), GSIC_CONTEXT_FULL,
  /// GSIC_INTERNAL (logits that are no numbers).
  void evaluate(const int32_t *ids, size_t count, size_t wanted, const LogitsVisitor &visit);
  /// Appends tokens; the id of the largest logit of the last one, the lowest among equals. Throws as `evaluate`. There
  /// must be a token, perhaps one that append_later left.
  int32_t choose(const int32_t *ids, size_t count);
  /// Appends tokens, and tells the id of the largest logit of the last `wanted` of them, as `evaluate` does of logits.
  std::vector<int32_t> choose_each(const int32_t *ids, size_t count, size_t wanted);
  /// Appends one token without work: it is evaluated together with what comes next.
  void append_later(int32_t id);
  /// Appends tokens, runs no head, and shows taps `first` to before `last` of the program. What stands behind those is
  /// not run: until the session is rewound, later passes must not want more taps. If it throws, the session is as it
  /// was.
  void observe(const int32_t *ids, size_t count, size_t first, size_t last, const TapVisitor &visit);
  /// The launches of a pass that wants logits, in order. They live as long as the session; where memory is not taken
  /// late, they move when the text grows.
  const std::vector<ResolvedLaunch> &launches() const { return passes_.main().launches; }
  /// Appends a token as `choose` does, when all others are evaluated; `pass` runs `launches`, in place of the session.
  int32_t choose_through(Sequence &pass, int32_t id);
  /// Whether the mode has a program that proposes tokens.
  bool drafts() const { return passes_.drafts(); }
  /// Runs that program over one token at `position`, which is length() or behind tokens that were proposed already, and
  /// shows its logits. What it leaves in the KV cache stays only until an evaluation reaches that position: the session
  /// is as it was. Throws as `evaluate`.
  void propose(int32_t id, size_t position, const std::function<void(const float *logits)> &visit);
  /// The same; the id of the largest logit, as `choose`.
  int32_t propose_greedy(int32_t id, size_t position);
  /// Whether logits are where the host reads them, so that choosing there costs no copy.
  bool logits_are_near() const { return passes_.logits_are_near(); }
  /// Keeps the first `length` tokens. Throws GSIC_INVALID_ARGUMENT if there are fewer.
  void rewind(size_t length);

  /// Tokens so far.
  size_t length() const { return tokens_.size(); }
  const std::vector<int32_t> &tokens() const { return tokens_; }
  const Model &model() const { return passes_.model(); }
  /// The program that decides every token.
  const Program &program() const { return *passes_.main().program; }
  /// The gates that are counted, by name: of the program that drafts, where there is one.
  const std::vector<std::string> &gates() const { return (drafts() ? passes_.draft() : passes_.main()).program->gates; }
  /// What generations in this session learned about proposals.
  DraftPolicy &draft_policy() { return draft_policy_; }
  const DraftPolicy &draft_policy() const { return draft_policy_; }
  /// For how many tokens one of `gates` was closed, and open.
  std::pair<uint64_t, uint64_t> gate_counts(size_t index) const;

 private:
  /// Called with the number of columns of a pass, which begin at `evaluated_`.
  using PassVisitor = std::function<void(uint32_t columns)>;
  /// Called with the column of a wanted token in its group, and its position.
  using ColumnVisitor = std::function<void(uint32_t column, size_t position)>;

  /// The launches from `from` to before `to`, captured when they are first wanted.
  Sequence &part(size_t from, size_t to);
  /// Appends tokens, and runs passes of at most `widest` columns over all that are not evaluated. If one throws, the
  /// session is as it was.
  void append(const int32_t *ids, size_t count, size_t widest, const PassVisitor &pass);
  /// `only_choice`: `visit` asks for choices alone.
  void append(const int32_t *ids, size_t count, size_t wanted, bool only_choice, const ColumnVisitor &visit);
  /// Makes room in the cache for so many positions, at least. Throws GSIC_OUT_OF_MEMORY.
  void reserve(size_t positions);
  void run_draft(int32_t id, size_t position);
  void check(const int32_t *ids, size_t count) const;
  /// Columns from `position` on, at the place of a group; those from `first_logit` on want logits.
  gsic_step step(const int32_t *ids, uint32_t columns, size_t position, uint32_t first_logit, size_t group = 0) const;

  Passes passes_;
  std::map<std::pair<size_t, size_t>, std::unique_ptr<Sequence>> parts_;
  std::vector<int32_t> tokens_;
  DraftPolicy draft_policy_;
  size_t evaluated_ = 0;  ///< of them: all, or all but the last
};

}  // namespace gsic

#endif
