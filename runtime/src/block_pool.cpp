#include "block_pool.h"

#include <algorithm>

namespace gsic {

BlockPool::BlockPool(size_t blocks, size_t positions, int64_t floats)
    : positions_(positions), floats_(floats), blocks_(blocks) {
  free_.reserve(blocks);
  // The first block is taken first, so that memory is touched as it is needed.
  for (size_t i = blocks; i > 0; i--) {
    blocks_[i - 1].place = int64_t(i - 1) * floats;
    free_.push_back(&blocks_[i - 1]);
  }
}

CacheBlock *BlockPool::take(CacheBlock *before) {
  if (free_.empty()) {
    if (leaves_.empty()) return nullptr;
    CacheBlock *const oldest = *leaves_.begin();
    leaves_.erase(leaves_.begin());
    kept_--;
    evicted_++;
    detach(oldest);
    free_.push_back(oldest);
  }
  CacheBlock *const block = free_.back();
  free_.pop_back();
  used_ = std::max(used_, size_t(block->place / floats_) + 1);
  block->before = before;
  block->tokens.clear();
  block->holders = 1;
  before->behind.push_back(block);
  return block;
}

size_t BlockPool::alike(const CacheBlock &block, const int32_t *tokens, size_t count) {
  const size_t most = std::min(count, block.tokens.size());
  return size_t(std::mismatch(tokens, tokens + most, block.tokens.begin()).first - tokens);
}

CacheBlock *BlockPool::find(const CacheBlock *before, const int32_t *tokens, size_t count) const {
  CacheBlock *best = nullptr;
  size_t most = 0;
  for (CacheBlock *block : before->behind) {
    const size_t length = alike(*block, tokens, count);
    if (length > most) {
      most = length;
      best = block;
    }
    if (length == count) break;
  }
  return best;
}

void BlockPool::hold(CacheBlock *block) {
  if (block->holders++ > 0) return;
  kept_--;
  leaves_.erase(block);
}

void BlockPool::release(CacheBlock *block) {
  if (--block->holders > 0) return;
  if (block->tokens.empty()) {
    detach(block);
    free_.push_back(block);
    return;
  }
  block->left = ++clock_;
  kept_++;
  if (block->behind.empty()) leaves_.insert(block);
}

std::vector<const CacheBlock *> BlockPool::latest_first() const {
  std::vector<const CacheBlock *> found;
  for (const CacheBlock &block : blocks_)
    if (block.before != nullptr && !block.tokens.empty()) found.push_back(&block);
  const auto depth = [&](const CacheBlock *block) {
    size_t count = 0;
    for (; block->before != &root_; block = block->before) count++;
    return count;
  };
  std::vector<std::pair<const CacheBlock *, size_t>> order;
  for (const CacheBlock *block : found) order.emplace_back(block, depth(block));
  std::sort(order.begin(), order.end(), [](const auto &a, const auto &b) {
    const uint64_t left = a.first->holders > 0 ? UINT64_MAX : a.first->left;
    const uint64_t other = b.first->holders > 0 ? UINT64_MAX : b.first->left;
    if (left != other) return left > other;
    return a.second != b.second ? a.second < b.second : a.first->place < b.first->place;
  });
  std::transform(order.begin(), order.end(), found.begin(), [](const auto &one) { return one.first; });
  return found;
}

void BlockPool::detach(CacheBlock *block) {
  CacheBlock *const before = block->before;
  before->behind.erase(std::find(before->behind.begin(), before->behind.end(), block));
  block->before = nullptr;
  if (before != &root_ && before->holders == 0 && before->behind.empty()) leaves_.insert(before);
}

}  // namespace gsic
