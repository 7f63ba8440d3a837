// A request of a batch, and its text as it grows.
#ifndef GSIC_SRC_BATCH_TEXT_H
#define GSIC_SRC_BATCH_TEXT_H

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "allowed.h"
#include "block_pool.h"
#include "chooser.h"
#include "draft_policy.h"
#include "utf8.h"

namespace gsic {

/// What became of a request.
struct BatchEvent {
  uint64_t ticket;
  gsic_end end;  ///< GSIC_END_NONE: a token
  int32_t id = -1;
  std::string text = {};  ///< that can be shown after the token
  bool of_prompt = false;
  float log_probability = 0;
  std::vector<gsic_alternative> alternatives = {};
  gsic_status status = GSIC_OK;  ///< of GSIC_END_FAILED
  std::string reason = {};
  uint64_t proposed = 0, accepted = 0;  ///< at the end
  bool asks = false;
};

/// Called with each token and then with the end. False: no more is wanted.
using BatchVisitor = std::function<bool(const BatchEvent &)>;

/// What is asked for.
struct BatchRequest {
  std::vector<int32_t> prompt;  ///< not empty
  size_t limit = 0;             ///< tokens
  gsic_sampling sampling = {};  ///< what it points to is read when the request is submitted, and not later
  std::vector<int32_t> stop;    ///< ids that end the text, besides the model's own
  size_t window = 0;            ///< tokens that may be shown before the reader takes the first; 0: any number
  bool log_probabilities = false;
  size_t alternatives = 0;    ///< with log_probabilities
  bool score_prompt = false;  ///< the same
  bool constrained = false;
  BatchVisitor visit;
};

/// Belongs to the thread that runs passes, but for what is atomic.
struct BatchText {
  /// Throws GSIC_INVALID_ARGUMENT for a sampling that cannot be.
  BatchText(uint64_t number, BatchRequest asked, size_t vocabulary)
      : ticket(number), request(std::move(asked)), chooser(request.sampling, vocabulary), tokens(request.prompt) {
    chooser.begin(tokens.size());
  }

  /// Tokens that are to be computed; at least one, the last.
  size_t remaining() const { return tokens.size() - computed; }
  /// Whether all but the last token are computed, so that the next pass gives another.
  bool writes() const { return remaining() == 1 && !scores(); }
  /// Whether tokens of the prompt are still to be told of.
  bool scores() const { return request.score_prompt && scored < request.prompt.size(); }
  /// Whether it is not known what may come behind its end.
  bool asks() const { return request.constrained && !allowed.knows(produced); }
  /// Whether no pass can do anything for it.
  bool waits() const { return paused() || (remaining() == 1 && asks()); }
  bool paused() const { return request.window > 0 && unread.load(std::memory_order_relaxed) >= request.window; }

  const uint64_t ticket;
  const BatchRequest request;
  Chooser chooser;
  Utf8Stream utf8;
  std::vector<int32_t> tokens;  ///< the prompt, and what was written
  size_t computed = 0;          ///< of them: their keys and values are in the cache
  size_t produced = 0;
  size_t scored = 0;  ///< tokens of the prompt that were told of

  std::vector<CacheBlock *> blocks;  ///< of the tokens that are computed, and of those that the next pass computes
  bool attached = false;             ///< whether blocks were looked for
  uint64_t version = 0;              ///< of `blocks`: another number where they are others, not only more

  bool ended = false;
  uint64_t due = 0;     ///< the order in which prompts are read, least first
  uint64_t served = 0;  ///< the pass that it last was in

  DraftPolicy policy;                   ///< what became of proposals
  uint64_t proposed = 0, accepted = 0;  ///< sums
  std::vector<int32_t> proposals;
  std::vector<float> margins;  ///< of proposals of the draft program; empty where they were looked up
  size_t match = 0;            ///< of a look-up
  size_t most = 0;             ///< proposals for which there is room
  double chain = 1;            ///< the probability that all proposals so far are accepted

  Allowed allowed;                ///< of a constrained text
  bool foreseen = false;          ///< whether the proposals are those of `allowed`
  std::optional<Allowed> answer;  ///< the next `allowed`; the batch's lock guards it

  std::atomic<size_t> unread{0};
  std::atomic<bool> cancelled{false};
};

}  // namespace gsic

#endif
