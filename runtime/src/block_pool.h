// The blocks of a KV cache that many texts share. Texts that begin alike share the blocks of what they have in common;
// a block is found by the tokens that it holds and by the blocks before it.
#ifndef GSIC_SRC_BLOCK_POOL_H
#define GSIC_SRC_BLOCK_POOL_H

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <vector>

namespace gsic {

/// Keys and values of consecutive positions of a text, in all layers.
struct CacheBlock {
  int64_t place = 0;                 ///< in floats from where the cache begins
  CacheBlock *before = nullptr;      ///< of the positions before; the pool's root where it begins a text
  std::vector<int32_t> tokens;       ///< whose keys and values it holds
  std::vector<CacheBlock *> behind;  ///< that continue it
  uint32_t holders = 0;              ///< texts that need it; they hold the blocks before it, too
  uint64_t left = 0;                 ///< when the last of them let go
};

/// Used by one thread at a time.
class BlockPool {
 public:
  /// Blocks of `positions` each, which lie `floats` apart.
  BlockPool(size_t blocks, size_t positions, int64_t floats);
  BlockPool(const BlockPool &) = delete;
  BlockPool &operator=(const BlockPool &) = delete;

  size_t positions() const { return positions_; }
  size_t size() const { return blocks_.size(); }
  /// Blocks that somebody holds, and that nobody holds but that keep a text.
  size_t held() const { return blocks_.size() - free_.size() - kept_; }
  size_t kept() const { return kept_; }
  /// How many of the first blocks were ever taken; those behind them never were.
  size_t used() const { return used_; }
  /// Kept blocks that gave way to other texts.
  uint64_t evicted() const { return evicted_; }

  /// What is before the first block of every text.
  CacheBlock *root() { return &root_; }
  /// A block without tokens behind `before`, which is the root or held; held once. The block that was let go of longest
  /// ago makes room for it. Null where all are held.
  CacheBlock *take(CacheBlock *before);
  /// A block behind `before` that begins with `count` tokens, or with as many of them as any; null where none begins
  /// with the first.
  CacheBlock *find(const CacheBlock *before, const int32_t *tokens, size_t count) const;
  void hold(CacheBlock *block);
  /// Forgets a holder. The last block of a text is let go first.
  void release(CacheBlock *block);
  /// Blocks that have tokens: those that somebody holds, then those that were let go of last; each behind the one
  /// before it.
  std::vector<const CacheBlock *> latest_first() const;
  /// How many of `count` tokens a block begins with.
  static size_t alike(const CacheBlock &block, const int32_t *tokens, size_t count);

 private:
  /// The order in which kept blocks that nothing is behind give way.
  struct Earlier {
    bool operator()(const CacheBlock *a, const CacheBlock *b) const {
      return a->left != b->left ? a->left < b->left : a->place < b->place;
    }
  };

  /// Takes a block from behind the one before.
  void detach(CacheBlock *block);

  size_t positions_;
  int64_t floats_;
  std::deque<CacheBlock> blocks_;
  CacheBlock root_;
  std::vector<CacheBlock *> free_;
  std::set<CacheBlock *, Earlier> leaves_;  ///< kept, and nothing is behind them
  size_t kept_ = 0, used_ = 0;
  uint64_t clock_ = 0, evicted_ = 0;
};

}  // namespace gsic

#endif
