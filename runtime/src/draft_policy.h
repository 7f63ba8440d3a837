// How many tokens to propose before they are verified: measured while generating, so that it fits the text, the plan
// and the machine. It decides how fast text comes, never which.
#ifndef GSIC_SRC_DRAFT_POLICY_H
#define GSIC_SRC_DRAFT_POLICY_H

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace gsic {

/// Means that forget: an observation's weight halves with every `half_life` later ones.
class FadingMean {
 public:
  /// Begins at `mean`, as if it had been observed `weight` times; that prior is not forgotten.
  FadingMean(double mean, double weight, double half_life);
  void add(double value);
  double mean() const { return (sum_ + prior_sum_) / (weight_ + prior_weight_); }
  /// How many observations the mean stands on, the prior left out.
  double weight() const { return weight_; }

 private:
  double prior_sum_, prior_weight_, decay_;
  double sum_ = 0, weight_ = 0;
};

/// Seconds of a pass over n tokens: a line through what was measured, fading.
class PassTime {
 public:
  void add(size_t tokens, double seconds);
  bool known() const { return weight_ > 0; }
  double of(size_t tokens) const { return mean_seconds() + per_token() * (double(tokens) - mean_tokens()); }
  /// Of all passes.
  double mean_seconds() const { return seconds_ / weight_; }
  /// What one more token costs; at least 0.
  double per_token() const;

 private:
  double mean_tokens() const { return tokens_ / weight_; }
  double weight_ = 0, tokens_ = 0, seconds_ = 0, squares_ = 0, products_ = 0;
};

/// How fast the texts of a batch grow together, and what its passes cost: measured, fading.
class Pace {
 public:
  /// A pass of the program that decides, of so many columns.
  void passed(size_t columns, double seconds) { passes_.add(columns, seconds); }
  /// A pass of the program that proposes.
  void drafted(size_t columns, double seconds) { drafts_.add(columns, seconds); }
  /// The end of a round in which all texts only wrote: the tokens of all of them.
  void finish_round(size_t tokens, double seconds);

  /// Whether there was a round with drafts.
  bool known() const { return drafts_.known() && seconds_ > 0; }
  /// Tokens a second that a proposal must promise to pay for its column.
  double price() const { return rate() * passes_.per_token(); }
  /// The same for a pass of drafts of so many columns.
  double draft_price(size_t columns) const { return rate() * std::max(0.0, drafts_.of(columns)); }

 private:
  double rate() const { return tokens_ / seconds_; }
  PassTime passes_, drafts_;
  double tokens_ = 0, seconds_ = 0;
};

/// What was proposed so far, and what came of it.
struct DraftCounts {
  uint64_t passes = 0;     ///< that verified proposals
  uint64_t proposed = 0;   ///< tokens, by a program or by look-up
  uint64_t accepted = 0;   ///< of these
  uint64_t looked_up = 0;  ///< of the proposed ones
};

/// A round proposes k tokens and verifies them in one pass, which yields k + 1 tokens at most. With rate R, the tokens
/// a second of late, one more proposal pays while the probability that it and all before it are accepted is above R x
/// (seconds that it costs): that maximises tokens per second (Dinkelbach's rule for a ratio).
class DraftPolicy {
 public:
  /// `length` other than 0: every round proposes so many tokens by the draft program, and none by look-up; to measure
  /// with.
  explicit DraftPolicy(size_t length = 0);

  /// Whether to propose token number `proposed` (from 0) of a round by the draft program, where all proposals before it
  /// are accepted with probability `chain`.
  bool worth_drafting(size_t proposed, double chain) const;
  /// The probability that a proposal with this margin (see Choice) is accepted; NaN: unknown margin.
  double acceptance(float margin) const;
  /// The same of a look-up of `match` tokens.
  double acceptance_of_match(size_t match) const { return by_match_[match_bin(match)].mean(); }
  /// How many tokens to take from an earlier place whose last `match` tokens were the same, at most `most`; 0 where the
  /// draft program promises more.
  size_t worth_looking_up(size_t match, size_t most) const;

  void drafted(double seconds) { draft_seconds_.add(seconds); }
  void verified(size_t tokens, double seconds) { verify_.add(tokens, seconds); }
  /// What became of a proposal of the draft program, if all before it were accepted.
  void learn(float margin, bool accepted);
  /// The same of a look-up of `match` tokens.
  void learn_look_up(size_t match, bool accepted);
  /// The end of a round that yielded `tokens` in `seconds`.
  void finish_round(size_t tokens, double seconds, size_t drafted, size_t looked_up);

  const DraftCounts &counts() const { return counts_; }

 private:
  /// Margins by powers of two from 1/8, and one for unknown margins.
  static constexpr size_t kMargins = 9;
  static size_t margin_bin(float margin);
  static size_t match_bin(size_t match);
  double rate() const { return tokens_ / seconds_; }

  std::array<FadingMean, kMargins> by_margin_;
  std::array<FadingMean, 4> by_match_;
  FadingMean draft_seconds_;
  /// Tokens of a round with drafts, less R x its seconds.
  FadingMean gain_;
  PassTime verify_;
  double tokens_ = 0, seconds_ = 0;  ///< of late
  size_t length_ = 0;
  size_t rounds_ = 0, since_draft_ = 0;
  DraftCounts counts_;
};

}  // namespace gsic

#endif
