#include "thread_policy.h"

#include <algorithm>

namespace gsic {
namespace {

/// CPUs are taken away where this happens so often, and so often in a second of CPU time. What a system does for itself
/// is less: 10 to 120 a second were counted on a quiet virtual machine, and 1,250 beside three busy programs on two
/// CPUs.
constexpr uint64_t kSwitches = 60;
constexpr double kRate = 500;
/// Seconds at work after which it is said that they are, and that they are not.
constexpr double kTaken = 0.1, kWindow = 0.2;
/// How many times as long as a trial cost its result stays, and seconds of that at least and at most.
constexpr double kStays = 20, kShortest = 0.2, kLongest = 30;
/// The same where CPUs were taken away and are no more.
constexpr double kStaysCalm = 5;
/// Fewer go on with a task that takes so many times as long as it was measured to take, in a trial and else, but not
/// before so many seconds, in which every program has a CPU for a while. A kind of which no time is known takes as long
/// as the slowest known; where there is none, fewer go on after these.
constexpr double kSlowTrial = 2, kSlow = 4, kLeastLimit = 0.03, kUnknown = 0.05;

/// How much a task counts in what such tasks take.
constexpr double kLearns = 0.1;

}  // namespace

bool ThreadPolicy::is_taken(const CpuUse &use) const {
  const uint64_t count = use.switches - before_.switches;
  return count >= kSwitches && double(count) >= kRate * (use.seconds - before_.seconds);
}

Share ThreadPolicy::begin(const Task &task, double now) {
  const Share share = is_trying() ? trial_->share() : share_;
  task_ = task;
  begun_ = cut_ = now;
  whole_ = limit_ = 0;
  going_ = share.count;
  if (!trial_) return share;
  const auto usual = usual_.find(task.kind);
  fewer_ = share_.count;
  limit_ = kUnknown;
  if (usual != usual_.end())
    limit_ = std::max(kLeastLimit, usual->second * task.amount * (is_trying() ? kSlowTrial : kSlow));
  else
    for (const auto &[kind, seconds] : usual_) limit_ = std::max(limit_, seconds * task.amount * kSlow);
  return share;
}

uint32_t ThreadPolicy::look(double now, const CpuUse &use, double done) {
  const double seconds = now - begun_;
  if (!trial_ && seconds > kUnknown && is_taken(use)) {
    begin_trial(use);
    limit_ = kUnknown;
  }
  if (going_ == 1 || limit_ == 0 || now - cut_ <= limit_) return going_;
  if (whole_ == 0) whole_ = seconds / std::max(done, 1e-3);
  cut_ = now;
  return going_ = fewer_ < going_ ? fewer_ : going_ / 2;
}

void ThreadPolicy::end(double now, const CpuUse &use, uint32_t count) {
  const double seconds = now - begun_;
  window_ += seconds;
  if (is_trying()) {
    if (count == trial_->share().count) trial_->add(task_, seconds, whole_ > 0 ? whole_ : seconds);
    if (trial_->is_over()) end_trial(use);
    return;
  }
  kept_ += seconds;
  if (whole_ == 0 && count == share_.count) learn(seconds);
  if (trial_ && (whole_ > 0 || (kept_ >= keeps_ && (taken_ || share_.count < most_)))) return begin_trial(use);
  if (window_ < kTaken) return;
  const bool taken = is_taken(use);
  if (taken || window_ >= kWindow) end_window(taken, use);
}

void ThreadPolicy::learn(double seconds) {
  const double each = seconds / task_.amount;
  double &usual = usual_.try_emplace(task_.kind, each).first->second;
  usual += (each - usual) * kLearns;
}

void ThreadPolicy::end_window(bool taken, const CpuUse &use) {
  window_ = 0;
  before_ = use;
  taken_ = taken;
  were_taken_ |= taken;
  if (!trial_) {
    if (taken) begin_trial(use);
  } else if (kept_ >= keeps_ && !taken) {
    be_quiet();
  } else if (were_taken_ && !taken && share_.count < most_ && kept_ >= keeps_ * kStaysCalm / kStays) {
    begin_trial(use);
  }
}

void ThreadPolicy::begin_trial(const CpuUse &use) {
  trial_.emplace(most_, share_);
  window_ = 0;
  before_ = use;
}

void ThreadPolicy::end_trial(const CpuUse &use) {
  trials_++;
  share_ = trial_->share();
  usual_ = trial_->seconds();
  keeps_ = std::clamp(kStays * trial_->lost(), kShortest, kLongest);
  kept_ = 0;
  taken_ = is_taken(use);
  were_taken_ = false;
  window_ = 0;
  before_ = use;
  if (!taken_ && trial_->all_are_near()) be_quiet();
}

void ThreadPolicy::be_quiet() {
  share_ = {most_, false};
  trial_.reset();
  taken_ = false;
}

}  // namespace gsic
