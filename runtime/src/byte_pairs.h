// Byte-pair encoding: which neighbouring tokens become one.
#ifndef GSIC_SRC_BYTE_PAIRS_H
#define GSIC_SRC_BYTE_PAIRS_H

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace gsic {

/// The merges of a tokenizer, ranked: the first that was added is the best.
class BytePairs {
 public:
  void reserve(size_t count) { merges_.reserve(count); }
  /// Of two merges of the same pair the later one counts.
  void add(int32_t left, int32_t right, int32_t merged);

  /// Appends what becomes of the tokens of a piece: of all neighbouring pairs the one of best rank is merged, the
  /// leftmost first, until there is none. Throws std::runtime_error at 2^32 - 1 tokens.
  void merge(const std::vector<int32_t> &word, std::vector<int32_t> &ids) const;

 private:
  struct Merge {
    uint32_t rank;
    int32_t merged;
  };
  struct PairHash {
    size_t operator()(uint64_t key) const { return size_t((key * 0x9e3779b97f4a7c15u) >> 17); }
  };

  const Merge *find(int32_t left, int32_t right) const;

  std::unordered_map<uint64_t, Merge, PairHash> merges_;
  uint32_t next_rank_ = 0;
};

}  // namespace gsic

#endif
