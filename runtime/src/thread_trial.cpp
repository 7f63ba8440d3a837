#include "thread_trial.h"

#include <algorithm>
#include <iterator>

namespace gsic {
namespace {

constexpr double kTurn = 0.01;
constexpr size_t kRounds = 5;
/// Rounds after which numbers around the best are added.
constexpr size_t kRefined = 2;
/// Who takes so many times as long as the best leaves after the first round, the second and those behind: a system
/// gives a CPU to one program for some milliseconds, so that a turn says little.
constexpr double kSlowRound[] = {3, 2, 1.5};
/// Another share takes the place of the one in use where that takes so many times as long.
constexpr double kBetter = 1.1;

}  // namespace

ThreadTrial::ThreadTrial(uint32_t most, Share used) : candidates_{{used}}, most_(most) {
  for (uint32_t count = most; count > 1; count /= 2) {
    add({count, false});
    add({count, true});
  }
  add({1, false});
}

void ThreadTrial::add(Share share) {
  const auto is_same = [&](const Candidate &one) { return one.share == share; };
  if (std::none_of(candidates_.begin(), candidates_.end(), is_same)) candidates_.push_back({share});
}

void ThreadTrial::refine() {
  const uint32_t around = candidates_[best()].share.count, step = rounds_ == 0 ? 7 : 28;
  const uint32_t span = rounds_ == 0 ? around : around / 7;
  const uint32_t least = std::max(1u, around - span / 2);
  for (uint32_t count = std::min(most_, around + span + 1); count > least; count -= std::max(1u, count / step)) {
    add({count, false});
    add({count, true});
  }
}

double ThreadTrial::ratio(const Candidate &a, const Candidate &b) const {
  double of_a = 0, of_b = 0;
  for (const auto &[kind, sum] : a.kinds) {
    const auto other = b.kinds.find(kind);
    if (other == b.kinds.end()) continue;
    const double amount = all_.at(kind).amount;
    of_a += amount * sum.seconds / sum.amount;
    of_b += amount * other->second.seconds / other->second.amount;
  }
  return of_b > 0 ? of_a / of_b : 1;
}

size_t ThreadTrial::best() const {
  size_t found = 0;
  while (candidates_[found].dropped) found++;
  for (size_t i = found + 1; i < candidates_.size(); i++)
    if (!candidates_[i].dropped && ratio(candidates_[i], candidates_[found]) < 1) found = i;
  return found;
}

void ThreadTrial::add(const Task &task, double seconds, double whole) {
  const auto note = [&](Sum &sum, double took) {
    sum.seconds += took;
    sum.amount += task.amount;
  };
  note(candidates_[at_].kinds[task.kind], whole);
  note(all_[task.kind], seconds);
  turn_ += seconds;
  if (turn_ >= kTurn) end_turn();
}

void ThreadTrial::end_turn() {
  turn_ = 0;
  do at_++;
  while (at_ < candidates_.size() && candidates_[at_].dropped);
  if (at_ == candidates_.size()) end_round();
}

void ThreadTrial::end_round() {
  const Candidate fastest = candidates_[best()];
  const double slow = kSlowRound[std::min(rounds_, std::size(kSlowRound) - 1)];
  for (Candidate &one : candidates_) one.dropped |= ratio(one, fastest) > slow;
  if (rounds_ < kRefined) refine();
  const auto stays = [](const Candidate &one) { return !one.dropped; };
  rounds_++;
  if (rounds_ == kRounds || std::count_if(candidates_.begin(), candidates_.end(), stays) == 1) return finish();
  at_ = size_t(std::find_if(candidates_.begin(), candidates_.end(), stays) - candidates_.begin());
}

void ThreadTrial::finish() {
  const size_t fastest = best();
  const bool stays = !candidates_[0].dropped && ratio(candidates_[0], candidates_[fastest]) < kBetter;
  at_ = stays ? 0 : fastest;
  over_ = true;
}

bool ThreadTrial::all_are_near() const {
  const Share all = {most_, false};
  const auto is_all = [&](const Candidate &one) { return one.share == all; };
  return ratio(*std::find_if(candidates_.begin(), candidates_.end(), is_all), candidates_[at_]) < kBetter;
}

std::map<uint64_t, double> ThreadTrial::seconds() const {
  std::map<uint64_t, double> by_kind;
  for (const auto &[kind, sum] : candidates_[at_].kinds) by_kind[kind] = sum.seconds / sum.amount;
  return by_kind;
}

double ThreadTrial::lost() const {
  const std::map<uint64_t, Sum> &fastest = candidates_[at_].kinds;
  double seconds = 0;
  for (const auto &[kind, all] : all_) {
    const auto found = fastest.find(kind);
    const double rate = found == fastest.end() ? 0 : found->second.seconds / found->second.amount;
    seconds += std::max(0.0, all.seconds - all.amount * rate);
  }
  return seconds;
}

}  // namespace gsic
