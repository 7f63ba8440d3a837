// A comparison of numbers of workers, of those who wait and those who sleep while they wait, in the course of work.
#ifndef GSIC_SRC_THREAD_TRIAL_H
#define GSIC_SRC_THREAD_TRIAL_H

#include <cstddef>
#include <map>
#include <vector>

#include "sharing.h"

namespace gsic {

/// Shares work by turns, for 10 ms each, in five rounds: first all workers, half of them, and so on down to one, then
/// also the numbers around the best. Those that are much slower than the best leave after a round. They are compared by
/// tasks of the same kind: by the seconds that each would take for all kinds that both did, in proportion to how much
/// of each came.
class ThreadTrial {
 public:
  /// Of up to `most` workers; `used` has the first turn.
  ThreadTrial(uint32_t most, Share used);

  /// Whose turn it is; the best where it is over.
  Share share() const { return candidates_[at_].share; }
  bool is_over() const { return over_; }
  /// Says that the share whose turn it is did a task in `seconds`; where fewer went on with it, it would have taken
  /// `whole` seconds.
  void add(const Task &task, double seconds, double whole);
  /// Once it is over: whether all workers are about as fast as the best share.
  bool all_are_near() const;
  /// What the share whose turn it is took, by kind, in proportion to amounts.
  std::map<uint64_t, double> seconds() const;
  /// Seconds that the best share would have saved, or all where that is not known.
  double lost() const;

 private:
  struct Sum {
    double seconds = 0, amount = 0;
  };
  struct Candidate {
    Share share;
    std::map<uint64_t, Sum> kinds = {};
    bool dropped = false;
  };

  /// How many times as long as b the candidate a takes; 1 where they have no kind in common.
  double ratio(const Candidate &a, const Candidate &b) const;
  size_t best() const;
  void add(Share share);
  /// Adds numbers of workers from half to twice that of the best, after the first round, and from near it, after the
  /// second.
  void refine();
  void end_turn();
  void end_round();
  void finish();

  std::vector<Candidate> candidates_;
  std::map<uint64_t, Sum> all_;  ///< what was done, by all of them
  uint32_t most_;
  size_t at_ = 0, rounds_ = 0;
  double turn_ = 0;  ///< seconds of this turn
  bool over_ = false;
};

}  // namespace gsic

#endif
