#include "session.h"

#include <algorithm>

#include "error.h"
#include "token_ids.h"

namespace gsic {

namespace {

/// Of a context's blocks, those that a session begins with: on a device that takes all memory at once, one in
/// `kFirstShare`, since most texts are short.
size_t first_blocks(const Model &model) {
  constexpr size_t kFirstShare = 64;
  const size_t all = model.manifest().blocks(model.manifest().context);
  return model.device().takes_memory_late() ? all : (all + kFirstShare - 1) / kFirstShare;
}

}  // namespace

Session::Session(std::shared_ptr<const Model> model, const std::string &mode)
    : passes_(model, mode, 1, first_blocks(*model), "session") {
  const std::vector<int64_t> table = consecutive_blocks(passes_.block_bytes(), passes_.layout().entries());
  passes_.write_table(0, 0, table.data(), table.size());
}

Sequence &Session::part(size_t from, size_t to) {
  std::unique_ptr<Sequence> &found = parts_[{from, to}];
  const auto first = launches().begin();
  if (!found) found = model().device().capture({first + long(from), first + long(to)});
  return *found;
}

void Session::reserve(size_t positions) {
  const Manifest &manifest = model().manifest();
  // Sequences captured before have the places of before.
  if (passes_.grow_cache(manifest.blocks(positions), manifest.blocks(manifest.context))) parts_.clear();
}

void Session::check(const int32_t *ids, size_t count) const {
  require_room(count, length(), model().manifest().context);
  require_ids(ids, count, model().manifest().vocabulary);
}

gsic_step Session::step(const int32_t *ids, uint32_t columns, size_t position, uint32_t first_logit,
                        size_t group) const {
  gsic_step made = step_of(ids, columns, position, passes_.layout(), group);
  made.wanted = (1u << columns) - (1u << first_logit);
  return made;
}

void Session::evaluate(const int32_t *ids, size_t count, size_t wanted, const LogitsVisitor &visit) {
  size_t index = 0;
  append(ids, count, wanted, false,
         [&](uint32_t column, size_t position) { visit(index++, passes_.logits(passes_.main(), column, position)); });
}

int32_t Session::choose(const int32_t *ids, size_t count) { return choose_each(ids, count, 1).back(); }

std::vector<int32_t> Session::choose_each(const int32_t *ids, size_t count, size_t wanted) {
  std::vector<int32_t> chosen;
  append(ids, count, wanted, true,
         [&](uint32_t column, size_t position) { chosen.push_back(passes_.choice(passes_.main(), column, position)); });
  return chosen;
}

void Session::append(const int32_t *ids, size_t count, size_t widest, const PassVisitor &pass) {
  check(ids, count);
  const size_t start = evaluated_, length = tokens_.size();
  if (count > 0) tokens_.insert(tokens_.end(), ids, ids + count);
  try {
    while (evaluated_ < tokens_.size()) {
      const uint32_t columns = uint32_t(std::min(widest, tokens_.size() - evaluated_));
      reserve(evaluated_ + columns);
      pass(columns);
      evaluated_ += columns;
    }
  } catch (...) {
    evaluated_ = start;
    tokens_.resize(length);
    throw;
  }
}

void Session::append(const int32_t *ids, size_t count, size_t wanted, bool only_choice, const ColumnVisitor &visit) {
  const size_t end = tokens_.size() + count, first_wanted = end - std::min(wanted, end - evaluated_);
  append(ids, count, passes_.most_columns(), [&](uint32_t columns) {
    std::vector<gsic_step> steps;
    const size_t last = evaluated_ + columns;
    for (size_t begin = evaluated_; begin < last; begin += GSIC_MAX_COLUMNS) {
      const size_t part = std::min<size_t>(GSIC_MAX_COLUMNS, last - begin);
      const size_t first_logit = std::clamp(first_wanted, begin, begin + part) - begin;
      steps.push_back(step(tokens_.data() + begin, uint32_t(part), begin, uint32_t(first_logit), steps.size()));
    }
    passes_.run_groups(steps, only_choice, [&](size_t group) {
      for (uint32_t j = 0; j < uint32_t(steps[group].columns); j++)
        if (steps[group].wanted >> j & 1) visit(j, evaluated_ + group * GSIC_MAX_COLUMNS + j);
    });
  });
}

int32_t Session::choose_through(Sequence &pass, int32_t id) {
  check(&id, 1);
  reserve(evaluated_ + 1);
  passes_.prepare(step(&id, 1, evaluated_, 0));
  pass.run(1);
  const int32_t chosen = passes_.choice(passes_.main(), 0, evaluated_);
  tokens_.push_back(id);
  evaluated_++;
  return chosen;
}

void Session::append_later(int32_t id) {
  if (evaluated_ < tokens_.size()) evaluate(nullptr, 0, 0, {});
  check(&id, 1);
  tokens_.push_back(id);
}

void Session::run_draft(int32_t id, size_t position) {
  reserve(position + 1);
  passes_.run(passes_.draft(), step(&id, 1, position, 0));
}

void Session::propose(int32_t id, size_t position, const std::function<void(const float *logits)> &visit) {
  run_draft(id, position);
  visit(passes_.logits(passes_.draft(), 0, position));
}

int32_t Session::propose_greedy(int32_t id, size_t position) {
  run_draft(id, position);
  return passes_.choice(passes_.draft(), 0, position);
}

void Session::observe(const int32_t *ids, size_t count, size_t first, size_t last, const TapVisitor &visit) {
  uint32_t widest = 1;
  for (const Tap &tap : program().taps) widest = std::max(widest, tap.stride);
  const auto staging = model().device().staging(GSIC_MAX_COLUMNS * widest * sizeof(float), "a tap's values");
  append(ids, count, GSIC_MAX_COLUMNS, [&](uint32_t columns) {
    passes_.prepare(step(tokens_.data() + evaluated_, columns, evaluated_, columns));
    size_t launched = 0;
    for (size_t i = first; i < last; i++) {
      const Tap &tap = program().taps[i];
      if (tap.after >= launched) {
        part(launched, tap.after + 1).run(columns);
        launched = tap.after + 1;
      }
      const void *rows =
          passes_.read_arena(tap.offset, staging->address(0), size_t(columns) * tap.stride * sizeof(float));
      visit(i, static_cast<const float *>(rows), columns);
    }
  });
}

void Session::rewind(size_t length) {
  if (length > tokens_.size())
    throw Error(GSIC_INVALID_ARGUMENT, "the session cannot keep " + std::to_string(length) + " tokens: it has " +
                                           std::to_string(tokens_.size()));
  tokens_.resize(length);
  evaluated_ = std::min(evaluated_, length);
}

std::pair<uint64_t, uint64_t> Session::gate_counts(size_t index) const {
  const auto [closed, open] = passes_.counters(index);
  return {closed, open};
}

}  // namespace gsic
