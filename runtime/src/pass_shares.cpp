#include "pass_shares.h"

#include <algorithm>
#include <iterator>

namespace gsic {
namespace {

/// How far apart tokens come at most, of the time of a pass of texts alone. Less than what is promised, 3, since passes
/// do not all take as long.
constexpr double kGap = 2.6;
/// Columns of prompts beside texts before such a pass was measured.
constexpr size_t kFirst = 8;
/// Passes of as many columns after which one counts half.
constexpr double kPasses = 16;

}  // namespace

void PassCosts::add(size_t columns, double seconds) {
  by_columns_.try_emplace(columns, 0, 0, kPasses).first->second.add(seconds);
  all_.add(columns, seconds);
}

double PassCosts::of(size_t columns) const {
  const auto above = by_columns_.lower_bound(columns);
  if (above != by_columns_.end() && above->first == columns) return above->second.mean();
  const auto beyond = [&](const auto &last) {
    const double line = last.second.mean() + all_.per_token() * (double(columns) - double(last.first));
    return std::max(line, last.second.mean() / 2);
  };
  if (above == by_columns_.end()) return beyond(*by_columns_.rbegin());
  if (above == by_columns_.begin()) return beyond(*above);
  const auto below = std::prev(above);
  const double part = double(columns - below->first) / double(above->first - below->first);
  return below->second.mean() + part * (above->second.mean() - below->second.mean());
}

void PassShares::passed(PassShare share, double seconds) {
  read_ = share.texts == 0;
  (read_ ? alone_ : mixed_).add(share.texts + share.prompts, seconds);
}

PassShare PassShares::next(size_t texts, size_t prompts, double spent, size_t most) const {
  texts = std::min(texts, most);
  if (texts == 0 || prompts == 0) return {texts, std::min(prompts, most - texts)};
  const size_t room = std::min(prompts, most - texts);
  if (!mixed_.known()) return {texts, std::min(room, kFirst)};
  const double without = mixed_.of(texts), left = kGap * without - spent;
  const PassCosts &alone = alone_.known() ? alone_ : mixed_;
  // Something is read in every pass, or in the one before. Of the passes of prompts alone, one follows no other: where
  // nobody waits for their results, as on GPUs, they seem to take no time.
  size_t beside = read_ ? 0 : std::min<size_t>(room, 1), before = 0;
  for (size_t columns = beside + 1; columns <= room; columns++)
    if (mixed_.of(texts + columns) <= left) beside = columns;
  for (size_t columns = 1; !read_ && columns <= std::min(prompts, most); columns++)
    if (alone.of(columns) + without <= left) before = columns;
  const auto rate = [](size_t columns, double seconds) { return double(columns) / seconds; };
  const bool first = before > 0 && rate(before, alone.of(before) + without) > rate(beside, mixed_.of(texts + beside));
  return first ? PassShare{0, before} : PassShare{texts, beside};
}

}  // namespace gsic
