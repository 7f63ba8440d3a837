// A file that keeps what a batch has in its KV cache, for the next process. All numbers are little endian.
//
//   offset  bytes
//        0      8  magic: "GSIC" 0x1a "\n" 0x00 0x02
//        8      4  format version, 1
//       12      4  bytes of `about`
//       16      8  size of the file
//       24      8  XXH64 (seed 0) of all that follows
//       32         about: JSON, of what the cache is: "build" (the hash of the bundle's section table, which holds that
//                  of every section), "program" and "target" that computed it, "positions" and "bytes" of a block,
//                  "blocks"
//                  the blocks, one after another, those that were used last first:
//                  0   4  the block before it, counted from 1; 0: it begins a text
//                  4   4  tokens, 1 to `positions`; a block that another is behind is full
//                  8  4n  the tokens
//                         the block as it lies in the cache, `bytes` bytes
//
// It holds the tokens of what people asked for: only its owner may read it.
#ifndef GSIC_SRC_CACHE_FILE_H
#define GSIC_SRC_CACHE_FILE_H

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "memory.h"

namespace gsic {

/// What the blocks of a cache file are of. Blocks of anything else are refused.
struct CacheFileAbout {
  std::string build, program, target;
  uint64_t positions = 0, bytes = 0, blocks = 0;
};

/// A block of a cache file.
struct CacheFileBlock {
  uint32_t before = 0;  ///< counted from 1; 0: none
  std::vector<int32_t> tokens;
  const void *data = nullptr;  ///< valid until the next block is asked for
};

/// Writes a file, which takes the place of another of that name when it is whole. `next` gives block 0, 1, ... of
/// about.blocks. Throws GSIC_IO, and what `next` throws.
void write_cache_file(const std::string &path, const CacheFileAbout &about,
                      const std::function<CacheFileBlock(uint64_t index)> &next);

/// A file that is whole, and of what is expected.
class CacheFile {
 public:
  /// `expected.blocks` does not count; tokens are below `vocabulary`. Throws GSIC_IO (it cannot be read), and
  /// GSIC_BAD_BUNDLE (no cache file, cut, damaged, or of something else).
  CacheFile(const std::string &path, const CacheFileAbout &expected, uint32_t vocabulary);

  uint64_t blocks() const { return blocks_.size(); }
  /// Block `index`, which comes behind the one before it.
  const CacheFileBlock &block(uint64_t index) const { return blocks_[index]; }
  /// Throws GSIC_IO if the file was cut since.
  void require_whole() const { file_.require_whole(); }

 private:
  [[noreturn]] void refuse(const std::string &what, const std::string &hint) const;
  void check_header() const;
  void check_about(const CacheFileAbout &expected);
  void read_blocks(const CacheFileAbout &expected, uint32_t vocabulary);

  MappedFile file_;
  uint64_t about_bytes_ = 0, count_ = 0;
  std::vector<CacheFileBlock> blocks_;
};

}  // namespace gsic

#endif
