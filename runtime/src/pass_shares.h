// Which columns of a pass texts have that are written, and which prompts that are read.
#ifndef GSIC_SRC_PASS_SHARES_H
#define GSIC_SRC_PASS_SHARES_H

#include <map>

#include "draft_policy.h"

namespace gsic {

/// The columns of a pass.
struct PassShare {
  size_t texts;    ///< that are written, one column each
  size_t prompts;  ///< columns of prompts
};

/// What passes took, by their columns: means that forget. Between two numbers of columns that were measured, a line;
/// beyond them, the line of all.
class PassCosts {
 public:
  void add(size_t columns, double seconds);
  bool known() const { return !by_columns_.empty(); }
  double of(size_t columns) const;

 private:
  std::map<size_t, FadingMean> by_columns_;
  PassTime all_;
};

/// Where both wait, tokens of a text come at most 2.6 times as far apart as they would without prompts, and prompts
/// have what can be read in that time: in the pass in which all texts go on, or in one of their own in front of it,
/// which saves the texts' columns. That which reads more a second is chosen, by what passes took so far. Time is what
/// it is told.
class PassShares {
 public:
  /// A pass took so long.
  void passed(PassShare share, double seconds);
  /// The next pass, of at most `most` columns, where `texts` wait for a token, and so many tokens of prompts; texts had
  /// their last tokens `spent` seconds ago.
  PassShare next(size_t texts, size_t prompts, double spent, size_t most) const;
  /// Whether the last pass was of prompts alone, so that texts wait.
  bool has_read() const { return read_; }

 private:
  PassCosts alone_;  ///< of prompts
  PassCosts mixed_;  ///< with texts
  bool read_ = false;
};

}  // namespace gsic

#endif
