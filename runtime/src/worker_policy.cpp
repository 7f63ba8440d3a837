#include "worker_policy.h"

#include <algorithm>

namespace gsic {
namespace {

/// A slot is over after so many runs and seconds, or, if runs are slow, after kMostSlot.
constexpr uint64_t kLeastRuns = 3;
constexpr double kSlot = 30e-3, kMostSlot = 90e-3;
/// All workers do well while runs take at most this much longer than the shortest.
constexpr double kWell = 1.3;
/// By how much another way must be faster to be taken.
constexpr double kBetter = 0.97;
/// Seconds between two trials of the other ways: at first, and at most.
constexpr double kFirstInterval = 0.25, kMostInterval = 4;
/// The shortest run of a kind is forgotten so slowly, since runs get longer as texts do.
constexpr double kForgetting = 0.01;
/// Kinds that are remembered.
constexpr size_t kMostKinds = 4096;

}  // namespace

WorkerPolicy::WorkerPolicy(uint32_t workers, Patience patience)
    : since_trial_(kMostInterval), interval_(kFirstInterval) {
  constexpr Patience kSleep = {std::chrono::microseconds(1), std::chrono::microseconds(1)};
  ways_.push_back({{workers, patience}});
  if (workers > 1 && patience.yield > kSleep.yield) ways_.push_back({{workers, kSleep}});
  for (uint32_t fewer = workers / 2; fewer > 0; fewer /= 2) ways_.push_back({{fewer, patience}});
}

void WorkerPolicy::learn(uint64_t kind, double seconds, uint64_t switches) {
  if (ways_.size() == 1) return;
  if (least_.size() > kMostKinds) least_.clear();
  double &least = least_.emplace(kind, seconds).first->second;
  least = seconds < least ? seconds : least + kForgetting * (seconds - least);
  ways_[now_].seconds += seconds;
  ways_[now_].least += least;
  runs_++;
  slot_ += seconds;
  since_trial_ += seconds;
  switches_ += switches;
  if (slot_ >= kMostSlot || (runs_ >= kLeastRuns && slot_ >= kSlot)) finish_slot();
}

void WorkerPolicy::finish_slot() {
  if (!trying_) {
    const bool well = home_ == 0 && (switches_ == 0 || ways_[0].slowness() < kWell);
    // Where the kernel takes no CPU away any more, the others may have gone.
    const bool due = since_trial_ >= (switches_ == 0 ? kFirstInterval : interval_);
    trying_ = due && !well;
    begin(trying_ ? (home_ == 0 ? 1 : 0) : home_);
    return;
  }
  const size_t next = now_ + 1 == home_ ? home_ + 1 : now_ + 1;
  if (next < ways_.size()) return begin(next);
  const auto slower = [](const Way &a, const Way &b) { return a.slowness() < b.slowness(); };
  const auto best = size_t(std::min_element(ways_.begin(), ways_.end(), slower) - ways_.begin());
  const bool better = ways_[best].slowness() < kBetter * ways_[home_].slowness();
  interval_ = better ? kFirstInterval : std::min(2 * interval_, kMostInterval);
  if (better) home_ = best;
  trying_ = false;
  since_trial_ = 0;
  begin(home_);
}

void WorkerPolicy::begin(size_t way) {
  // What was measured of the way at home counts half in the next slot, of others not at all.
  const double kept = way == home_ ? 0.5 : 0;
  ways_[way].seconds *= kept;
  ways_[way].least *= kept;
  now_ = way;
  runs_ = switches_ = 0;
  slot_ = 0;
}

}  // namespace gsic
