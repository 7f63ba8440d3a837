#include "draft_policy.h"

#include <algorithm>
#include <cmath>

namespace gsic {
namespace {

/// Until something is measured, a round proposes so many tokens.
constexpr size_t kFirstRounds = 2, kFirstDraft = 3;
/// Where drafting does not pay, it is tried again after so many rounds: texts change.
constexpr size_t kPatience = 32;
/// Observations after which one counts half: of proposals, and of times.
constexpr double kProposals = 200, kTimes = 32;
/// What one more token of a pass costs before it is measured, of a pass; and for how much that counts beside what is
/// measured.
constexpr double kPriorSlope = 0.1, kPriorWeight = 4;

double decay_of(double half_life) { return std::exp2(-1 / half_life); }

}  // namespace

FadingMean::FadingMean(double mean, double weight, double half_life)
    : prior_sum_(mean * weight), prior_weight_(weight), decay_(decay_of(half_life)) {}

void FadingMean::add(double value) {
  sum_ = sum_ * decay_ + value;
  weight_ = weight_ * decay_ + 1;
}

void PassTime::add(size_t tokens, double seconds) {
  const double decay = decay_of(kTimes), n = double(tokens);
  weight_ = weight_ * decay + 1;
  tokens_ = tokens_ * decay + n;
  seconds_ = seconds_ * decay + seconds;
  squares_ = squares_ * decay + n * n;
  products_ = products_ * decay + n * seconds;
}

double PassTime::per_token() const {
  const double variance = squares_ - tokens_ * tokens_ / weight_;
  const double covariance = products_ - tokens_ * seconds_ / weight_;
  const double prior = kPriorSlope * mean_seconds();
  return std::max(0.0, (covariance + kPriorWeight * prior) / (variance + kPriorWeight));
}

void Pace::finish_round(size_t tokens, double seconds) {
  const double decay = decay_of(kTimes);
  tokens_ = tokens_ * decay + double(tokens);
  seconds_ = seconds_ * decay + seconds;
}

DraftPolicy::DraftPolicy(size_t length)
    : by_margin_{{{0.4, 4, kProposals},
                  {0.5, 4, kProposals},
                  {0.6, 4, kProposals},
                  {0.75, 4, kProposals},
                  {0.85, 4, kProposals},
                  {0.93, 4, kProposals},
                  {0.98, 4, kProposals},
                  {0.995, 4, kProposals},
                  {0.85, 4, kProposals}}},
      by_match_{{{0.4, 4, kProposals}, {0.6, 4, kProposals}, {0.75, 4, kProposals}, {0.9, 4, kProposals}}},
      draft_seconds_(0, 1e-9, kTimes),
      gain_(0, 1, kTimes),
      length_(length) {}

size_t DraftPolicy::margin_bin(float margin) {
  if (std::isnan(margin)) return kMargins - 1;
  if (margin < 0.125f) return 0;
  return std::min<size_t>(kMargins - 2, size_t(std::ilogb(std::min(margin, 1024.0f)) + 4));
}

size_t DraftPolicy::match_bin(size_t match) { return match < 3 ? 0 : match < 5 ? 1 : match < 9 ? 2 : 3; }

double DraftPolicy::acceptance(float margin) const { return by_margin_[margin_bin(margin)].mean(); }

bool DraftPolicy::worth_drafting(size_t proposed, double chain) const {
  if (length_ > 0) return proposed < length_;
  if (rounds_ < kFirstRounds || !verify_.known()) return proposed < kFirstDraft;
  if (proposed == 0 && since_draft_ >= kPatience) return true;
  const double next = acceptance(NAN);
  return chain * next > rate() * (draft_seconds_.mean() + verify_.per_token());
}

size_t DraftPolicy::worth_looking_up(size_t match, size_t most) const {
  if (length_ > 0 || rounds_ < kFirstRounds || !verify_.known()) return 0;
  const double p = by_match_[match_bin(match)].mean(), cost = rate() * verify_.per_token();
  double chain = p, expected = 1;
  size_t count = 0;
  for (; count < most && chain > cost; count++, chain *= p) expected += chain;
  return expected - rate() * verify_.of(count + 1) > gain_.mean() ? count : 0;
}

void DraftPolicy::learn(float margin, bool accepted) {
  by_margin_[margin_bin(margin)].add(accepted);
  if (!std::isnan(margin)) by_margin_[kMargins - 1].add(accepted);
}

void DraftPolicy::learn_look_up(size_t match, bool accepted) { by_match_[match_bin(match)].add(accepted); }

void DraftPolicy::finish_round(size_t tokens, double seconds, size_t drafted, size_t looked_up) {
  const double decay = decay_of(kTimes);
  tokens_ = tokens_ * decay + double(tokens);
  seconds_ = seconds_ * decay + seconds;
  rounds_++;
  since_draft_ = drafted > 0 ? 0 : since_draft_ + 1;
  if (looked_up == 0) gain_.add(double(tokens) - rate() * seconds);
  if (drafted + looked_up == 0) return;
  counts_.passes++;
  counts_.proposed += drafted + looked_up;
  counts_.accepted += tokens - 1;
  counts_.looked_up += looked_up;
}

}  // namespace gsic
