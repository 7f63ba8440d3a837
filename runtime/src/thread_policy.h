// How many workers share a launch on a machine that other programs use, too. Workers meet at a barrier after every
// launch, so that one whose CPU is taken away holds up all: with seven busy programs on two CPUs, two workers are some
// fifty times slower than one.
#ifndef GSIC_SRC_THREAD_POLICY_H
#define GSIC_SRC_THREAD_POLICY_H

#include <map>
#include <optional>

#include "sharing.h"
#include "thread_trial.h"

namespace gsic {

/// All workers take part until the system takes CPUs away from them. Then numbers of workers are compared while they
/// work (`ThreadTrial`), and the fastest stays for twenty times what the comparison cost; and so on, until CPUs are
/// taken away no more. Used by one thread at a time; time and switches are what it is told, and only time at work
/// counts.
class ThreadPolicy {
 public:
  explicit ThreadPolicy(uint32_t most) : most_(most), share_{most, false} {}

  /// Who is to do a task that begins now.
  Share begin(const Task &task, double now);
  /// How many of them are to go on where so much of it is `done`, 0 to 1. `use` is what all
  /// workers had so far; it may lag.
  uint32_t look(double now, const CpuUse &use, double done);
  /// It is done; so many took part at first.
  void end(double now, const CpuUse &use, uint32_t count);

  /// Comparisons that came to their end.
  uint64_t trials() const { return trials_; }

 private:
  bool is_trying() const { return trial_ && !trial_->is_over(); }
  bool is_taken(const CpuUse &use) const;
  void begin_trial(const CpuUse &use);
  void end_trial(const CpuUse &use);
  /// What comes of the end of a window in which CPUs were taken away, or not.
  void end_window(bool taken, const CpuUse &use);
  void be_quiet();
  void learn(double seconds);

  uint32_t most_;
  uint32_t going_ = 1, fewer_ = 1;    ///< who take part in a task, and who do where that takes too long
  std::map<uint64_t, double> usual_;  ///< by kind: seconds of late, by amount
  Share share_;                       ///< where nothing is compared
  std::optional<ThreadTrial> trial_;  ///< the last one; none where all take part

  Task task_ = {};
  double begun_ = 0;
  double cut_ = 0;    ///< when fewer went on the last time; when it began, where all do
  double whole_ = 0;  ///< seconds that it would have taken; 0: all go on
  double limit_ = 0;  ///< seconds after which fewer go on; 0: none

  double window_ = 0;        ///< seconds at work
  CpuUse before_ = {};       ///< when the window began
  bool taken_ = false;       ///< what the window before said
  bool were_taken_ = false;  ///< the same of any window since the trial
  double kept_ = 0;          ///< seconds at work since the trial
  double keeps_ = 0;         ///< of these, until the next
  uint64_t trials_ = 0;
};

}  // namespace gsic

#endif
