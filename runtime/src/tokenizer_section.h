// The tokenizer's section of a bundle, little endian; compiler/read/tokenizer-native.ts writes it:
//
//   0  char[4]  "GTOK"
//   4  u32      version, 1
//   8  u32      size of the section in bytes
//  12  u32      flags: 1 metaspace (else byte-level), 2 ignore merges, 4 byte fallback, 8 fuse unknowns
//  16  u32      normaliser: 0 none, 1 metaspace, 2 prepend-metaspace, 3 NFC
//  20  i32 x 3  bos, eos, unknown; -1 for none
//  32  u32 x 5  counts: T tokens, M merges, A added tokens, S steps, P prefix ids
//  52  u32[T]   where each token ends in the token bytes, cumulative
//      u32[3M]  left, right and merged id of each merge, best first
//      u32[P]   prefix ids
//      A times  u32 id, u32 flags (1 special, 2 normalised, 4 strips left, 8 strips right), u32 n, u8[n] content
//      S times  u32 kind (0 split, 1 prefix space, 2 metaspace), u32 option, u32 n, u8[n] pattern for PCRE2
//               option of a split: behaviour (0 isolated, 1 removed, 2 merged with previous, 3 merged with next,
//               4 contiguous) + 16 if inverted; of metaspace: prepend (0 never, 1 first, 2 always)
//      u8[T]    1 where text can become the token by lookup
//      u8[]     token bytes
#ifndef GSIC_SRC_TOKENIZER_SECTION_H
#define GSIC_SRC_TOKENIZER_SECTION_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "added_tokens.h"
#include "byte_pairs.h"
#include "normalize.h"
#include "pre_tokenizer.h"
#include "vocabulary.h"

namespace gsic {

/// What a tokenizer works with.
struct TokenizerTables {
  bool metaspace = false;  ///< else byte-level
  bool ignore_merges = false, byte_fallback = false, fuse_unknown = false;
  Normalizer normalizer = Normalizer::none;
  int32_t bos = -1, eos = -1, unknown = -1;
  std::vector<int32_t> prefix;
  std::vector<bool> special;               ///< by id
  std::vector<std::string> special_texts;  ///< of the special ones among the added tokens
  BytePairs merges;
  AddedTokens added;             ///< found in the text as it is
  AddedTokens added_normalized;  ///< found in normalised text
  std::vector<PreTokenizer> steps;
  std::unique_ptr<const Vocabulary> vocabulary;
};

/// Reads a section, whose bytes are not needed afterwards. Throws std::runtime_error on malformed bytes, and never
/// reads beyond them.
std::unique_ptr<const TokenizerTables> read_tokenizer(const uint8_t *bytes, size_t size);

}  // namespace gsic

#endif
