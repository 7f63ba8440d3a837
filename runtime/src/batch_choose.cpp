// Which tokens of which texts a pass computes, and the blocks that they need.
#include <algorithm>

#include "batch.h"
#include "clock.h"

namespace gsic {
namespace {

/// Fewer tokens are computed rather than copied.
constexpr size_t kLeastCopied = 3;
/// Memory is taken ahead in steps of a huge page, and of what a pass takes, this part is spent on it; a step at least.
constexpr uint64_t kStep = uint64_t(2) << 20;
constexpr double kPart = 0.05;

size_t alike(const std::vector<int32_t> &a, const std::vector<int32_t> &b) {
  const size_t most = std::min(a.size(), b.size());
  return size_t(std::mismatch(a.begin(), a.begin() + long(most), b.begin()).first - a.begin());
}

}  // namespace

std::vector<Batch::Piece> Batch::choose() {
  std::vector<BatchText *> writing, reading;
  for (const Text &text : active_)
    if (!text->waits()) (text->writes() ? writing : reading).push_back(text.get());
  std::stable_sort(writing.begin(), writing.end(), [](auto *a, auto *b) { return a->served < b->served; });
  std::stable_sort(reading.begin(), reading.end(), [](auto *a, auto *b) { return a->due < b->due; });
  std::vector<Piece> pieces;
  size_t room = passes_.most_columns();
  auto next = writing.begin();
  const auto take = [&](PassShare share) {
    const size_t before = room;
    for (; next != writing.end() && before - room < share.texts; next++) room -= add_piece(pieces, **next, 1);
    size_t left = std::min(room, share.prompts);
    for (BatchText *text : reading) {
      if (left == 0) break;
      if (!text->attached && waits_for_another(*text)) continue;
      const size_t added = add_piece(pieces, *text, left);
      left -= added;
      room -= added;
    }
  };
  take(share_columns(writing.size(), reading));
  // Those who were to go on may have no room in the cache.
  if (pieces.empty()) take({room, room});
  return pieces;
}

PassShare Batch::share_columns(size_t writing, const std::vector<BatchText *> &reading) const {
  size_t prompts = 0;
  for (const BatchText *text : reading) prompts += text->remaining();
  return shares_.next(writing, prompts, seconds_now() - written_, passes_.most_columns());
}

size_t Batch::add_piece(std::vector<Piece> &pieces, BatchText &text, size_t most) {
  if (!text.attached) attach(text);
  most = std::min(most, text.remaining() - (text.asks() ? 1 : 0));
  grow(text, text.computed + most);
  const size_t count = std::min(most, text.blocks.size() * pool_.positions() - text.computed);
  if (count == 0) return 0;  // whoever has the room goes on instead
  text.served = pass_;
  pieces.push_back({&text, count});
  return count;
}

bool Batch::waits_for_another(const BatchText &text) const {
  if (text.scores()) return false;
  return std::any_of(active_.begin(), active_.end(), [&](const Text &other) {
    if (!other->attached || other->writes() || other->paused()) return false;
    return alike(other->tokens, text.tokens) >= other->computed + kLeastCopied;
  });
}

void Batch::attach(BatchText &text) {
  // The last is computed in any case, and so is what gives logits that are to be told of.
  const size_t told = std::max<size_t>(text.scored, 1) - 1;
  const size_t positions = pool_.positions(), end = text.scores() ? told : text.tokens.size() - 1;
  text.attached = true;
  text.version = ++versions_;
  if (end == 0) return;
  CacheBlock *before = pool_.root();
  const auto rest = [&] { return std::min(positions, end - text.computed); };
  const auto find = [&] { return pool_.find(before, text.tokens.data() + text.computed, rest()); };
  const auto length_of = [&](const CacheBlock *block) {
    return block == nullptr ? 0 : BlockPool::alike(*block, text.tokens.data() + text.computed, rest());
  };
  CacheBlock *found = find();
  for (; length_of(found) == positions; found = find()) {
    pool_.hold(found);
    text.blocks.push_back(found);
    text.computed += positions;
    before = found;
  }
  if (const size_t length = length_of(found); length >= kLeastCopied) {
    pool_.hold(found);
    if (CacheBlock *const copy = pool_.take(before)) {
      Device &device = model().device();
      const auto bytes = size_t(passes_.block_bytes());
      const auto at = [&](const CacheBlock *block) { return passes_.cache() + size_t(block->place) * sizeof(float); };
      device.copy_rows({at(copy), bytes}, {at(found), bytes}, 1, device.stream());
      copy->tokens.assign(found->tokens.begin(), found->tokens.begin() + long(length));
      text.blocks.push_back(copy);
      text.computed += length;
    }
    pool_.release(found);
  }
  tally_.shared_tokens += text.computed;
}

void Batch::detach(BatchText &text) {
  for (; !text.blocks.empty(); text.blocks.pop_back()) pool_.release(text.blocks.back());
  text.computed = 0;
  text.attached = false;
}

void Batch::grow(BatchText &text, size_t length) {
  while (text.blocks.size() * pool_.positions() < length) {
    if (CacheBlock *const block = pool_.take(text.blocks.empty() ? pool_.root() : text.blocks.back())) {
      text.blocks.push_back(block);
      continue;
    }
    BatchText *victim = nullptr;
    for (const Text &other : active_) {
      const bool gives_way = other->paused() || other->ticket > text.ticket;
      if (other.get() == &text || other->blocks.empty() || other->served == pass_ || !gives_way) continue;
      if (victim == nullptr || !victim->paused()) victim = other.get();
    }
    if (victim == nullptr) return;
    detach(*victim);
    tally_.preempted++;
  }
}

void Batch::populate_ahead(PassShare passed, double pass_seconds) {
  const uint64_t bytes = passes_.block_bytes();
  const size_t newcomer = passes_.most_columns() / pool_.positions() + 1;
  const size_t ahead = passed.prompts > 0 ? 1 : passed.texts + newcomer;
  const uint64_t end = std::min(pool_.size(), pool_.used() + ahead) * bytes;
  populated_ = std::max(populated_, pool_.used() * bytes);
  for (const double start = seconds_now(); populated_ < end;) {
    const uint64_t next = std::min(end, (populated_ / kStep + 1) * kStep);
    passes_.populate_cache(populated_, next - populated_);
    populated_ = next;
    if (seconds_now() - start > kPart * pass_seconds) break;
  }
}

size_t Batch::grow_freely(BatchText &text, size_t length) {
  while (text.blocks.size() * pool_.positions() < length) {
    CacheBlock *const block = pool_.take(text.blocks.back());
    if (block == nullptr) break;
    text.blocks.push_back(block);
  }
  return std::min(length, text.blocks.size() * pool_.positions());
}

}  // namespace gsic
