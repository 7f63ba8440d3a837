#include "byte_pairs.h"

#include <functional>
#include <limits>
#include <queue>
#include <stdexcept>

namespace gsic {
namespace {

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

struct Symbol {
  int32_t id;  ///< -1: merged into the one before
  uint32_t previous, next;
};

struct Candidate {
  uint32_t rank, at;
  int32_t left, right, merged;
  bool operator>(const Candidate &other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
};

uint64_t pair_key(int32_t left, int32_t right) { return uint64_t(uint32_t(left)) << 32 | uint32_t(right); }

std::vector<Symbol> linked(const std::vector<int32_t> &word) {
  const auto count = uint32_t(word.size());
  std::vector<Symbol> list(count);
  for (uint32_t at = 0; at < count; at++)
    list[at] = {word[at], at == 0 ? kNone : at - 1, at + 1 == count ? kNone : at + 1};
  return list;
}

}  // namespace

void BytePairs::add(int32_t left, int32_t right, int32_t merged) {
  merges_.insert_or_assign(pair_key(left, right), Merge{next_rank_++, merged});
}

const BytePairs::Merge *BytePairs::find(int32_t left, int32_t right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

/// A heap holds the pairs and a linked list the word: n log n for n symbols.
void BytePairs::merge(const std::vector<int32_t> &word, std::vector<int32_t> &ids) const {
  if (word.size() >= kNone) throw std::runtime_error("tokenizer: text too long");
  std::vector<Symbol> list = linked(word);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<Candidate>> queue;
  const auto consider = [&](uint32_t at) {
    if (at == kNone || list[at].next == kNone) return;
    const int32_t left = list[at].id, right = list[list[at].next].id;
    if (const Merge *found = find(left, right)) queue.push({found->rank, at, left, right, found->merged});
  };
  for (uint32_t at = 0; at < list.size(); at++) consider(at);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol &left = list[best.at];
    if (left.id != best.left || left.next == kNone || list[left.next].id != best.right) continue;
    Symbol &right = list[left.next];
    left.id = best.merged;
    right.id = -1;
    left.next = right.next;
    if (left.next != kNone) list[left.next].previous = best.at;
    consider(left.previous);
    consider(best.at);
  }
  for (uint32_t at = list.empty() ? kNone : 0; at != kNone; at = list[at].next) ids.push_back(list[at].id);
}

}  // namespace gsic
