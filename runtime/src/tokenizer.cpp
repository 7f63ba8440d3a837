#include "tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <limits>
#include <queue>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "normalize.h"

// The section, little endian; `compiler/read/tokenizer-native.ts` writes it:
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

namespace gsic {
namespace {

constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kMaxTokens = 1u << 22;
constexpr std::string_view kMetaspace = "\xe2\x96\x81";
constexpr std::string_view kReplacement = "\xef\xbf\xbd";

[[noreturn]] void malformed(const std::string &what) { throw std::runtime_error("tokenizer section: " + what); }

/// Reads the section front to back; every read is checked against what is left.
class Reader {
 public:
  Reader(const std::uint8_t *bytes, std::size_t size) : at_(bytes), left_(size) {}

  std::size_t left() const { return left_; }

  const std::uint8_t *take(std::size_t count, const char *what) {
    if (count > left_) malformed(std::string("ends within ") + what);
    const std::uint8_t *start = at_;
    at_ += count;
    left_ -= count;
    return start;
  }

  std::uint32_t word(const char *what) {
    const std::uint8_t *b = take(4, what);
    return b[0] | b[1] << 8 | b[2] << 16 | static_cast<std::uint32_t>(b[3]) << 24;
  }

  std::vector<std::uint32_t> words(std::uint64_t count, const char *what) {
    if (count > left_ / 4) malformed(std::string("ends within ") + what);
    std::vector<std::uint32_t> result(static_cast<std::size_t>(count));
    for (std::uint32_t &value : result) value = word(what);
    return result;
  }

  std::string text(const char *what) {
    const std::uint32_t length = word(what);
    const std::uint8_t *start = take(length, what);
    return std::string(reinterpret_cast<const char *>(start), length);
  }

 private:
  const std::uint8_t *at_;
  std::size_t left_;
};

// ---------------------------------------------------------------------------------------------- UTF-8

/// What stands at a place of a byte string: `length` bytes that are a character, that could become one if more
/// bytes followed, or that cannot.
struct Utf8Part {
  enum { whole, incomplete, invalid } kind;
  std::size_t length;
};

Utf8Part utf8_part(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const unsigned lead = byte(at);
  if (lead < 0x80) return {Utf8Part::whole, 1};
  if (lead < 0xc2 || lead > 0xf4) return {Utf8Part::invalid, 1};
  const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  for (std::size_t index = 1; index < length; ++index) {
    if (at + index >= text.size()) return {Utf8Part::incomplete, index};
    unsigned low = 0x80, high = 0xbf;
    if (index == 1) {  // no overlong forms, no surrogates, nothing above U+10FFFF
      if (lead == 0xe0) low = 0xa0;
      if (lead == 0xed) high = 0x9f;
      if (lead == 0xf0) low = 0x90;
      if (lead == 0xf4) high = 0x8f;
    }
    if (byte(at + index) < low || byte(at + index) > high) return {Utf8Part::invalid, index};
  }
  return {Utf8Part::whole, length};
}

std::string to_valid_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Part part = utf8_part(text, at);
    result += part.kind == Utf8Part::whole ? text.substr(at, part.length) : kReplacement;
    at += part.length;
  }
  return result;
}

bool starts_with(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

std::string with_metaspaces(std::string_view text) {
  std::string result;
  result.reserve(text.size() + 3);
  for (char character : text) {
    if (character == ' ') {
      result += kMetaspace;
    } else {
      result += character;
    }
  }
  return result;
}

/// Length of the white space (White_Space of Unicode) at the start of valid UTF-8: 0 if there is none.
std::size_t white_space_length(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  if (byte(0) == ' ' || (byte(0) >= 9 && byte(0) <= 13)) return 1;
  static constexpr std::array<std::string_view, 18> others = {
      "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82",
      "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86", "\xe2\x80\x87", "\xe2\x80\x88",
      "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f"};
  for (std::string_view other : others) {
    if (starts_with(text, other)) return other.size();
  }
  return starts_with(text, "\xe3\x80\x80") ? 3 : 0;
}

// ---------------------------------------------------------------------------------------------- patterns

/// Without \C, which would cut characters in two: what follows takes text for valid UTF-8, and reads beyond otherwise.
constexpr std::uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;

/// A compiled pattern of the tokenizer.
class Pattern {
 public:
  explicit Pattern(const std::string &source) {
    pcre2_compile_context *context = pcre2_compile_context_create(nullptr);
    if (context == nullptr) throw std::bad_alloc();
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_.reset(
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(), kOptions, &error, &offset, context));
    pcre2_compile_context_free(context);
    if (!code_) malformed("pattern \"" + source + "\": " + message(error) + " at byte " + std::to_string(offset));
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);  // without JIT, matching interprets: slower, same result
  }

  /// Calls `found(start, end)` for every match from left to right; empty ones too, but not where one just ended.
  void for_each(std::string_view text, const std::function<void(std::size_t, std::size_t)> &found) const {
    const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data *)> data(
        pcre2_match_data_create_from_pattern(code_.get(), nullptr), pcre2_match_data_free);
    if (!data) throw std::bad_alloc();
    std::size_t at = 0, done = 0;
    bool any = false;
    while (at <= text.size()) {
      const int count = match(text, at, data.get());
      if (count == PCRE2_ERROR_NOMATCH) return;
      if (count < 0) throw std::runtime_error("tokenizer pattern: " + message(count));
      const PCRE2_SIZE *span = pcre2_get_ovector_pointer(data.get());
      const std::size_t start = span[0], end = span[1];
      // \K can put the start of a match behind its end, or into the one before.
      if (start > end || start < done) malformed("a pattern whose matches overlap");
      if (end > start || !any || end != done) {
        found(start, end);
        any = true;
        done = end;
      }
      at = end > start ? end : end + (end < text.size() ? utf8_part(text, end).length : 1);
    }
  }

 private:
  int match(std::string_view text, std::size_t at, pcre2_match_data *data) const {
    const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    // The text is known to be valid, and checking it anew for every match would cost its length squared.
    const int count = pcre2_match(code_.get(), subject, text.size(), at, PCRE2_NO_UTF_CHECK, data, nullptr);
    if (count != PCRE2_ERROR_JIT_STACKLIMIT) return count;
    return pcre2_match(code_.get(), subject, text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, nullptr);
  }

  static std::string message(int error) {
    PCRE2_UCHAR text[256];
    pcre2_get_error_message(error, text, sizeof text);
    return reinterpret_cast<const char *>(text);
  }

  struct Free {
    void operator()(pcre2_code *code) const { pcre2_code_free(code); }
  };
  std::unique_ptr<pcre2_code, Free> code_;
};

enum class Behavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };

struct Step {
  enum class Kind { split, prefix_space, metaspace } kind = Kind::split;
  Behavior behavior = Behavior::isolated;
  bool invert = false;
  enum class Prepend { never, first, always } prepend = Prepend::never;
  std::unique_ptr<Pattern> pattern;
};

struct Cut {
  std::string_view text;
  bool matched;
};

std::vector<Cut> cut(std::string_view text, const Step &step) {
  std::vector<Cut> cuts;
  std::size_t done = 0;
  step.pattern->for_each(text, [&](std::size_t start, std::size_t end) {
    if (start > done) cuts.push_back({text.substr(done, start - done), step.invert});
    cuts.push_back({text.substr(start, end - start), !step.invert});
    done = end;
  });
  if (done < text.size()) cuts.push_back({text.substr(done), step.invert});
  return cuts;
}

/// Whether a cut belongs to the piece of the cut before it.
bool extends(Behavior behavior, const Cut &before, const Cut &it) {
  switch (behavior) {
    case Behavior::merged_with_previous:
      return it.matched && !before.matched;
    case Behavior::merged_with_next:
      return before.matched && !it.matched;
    case Behavior::contiguous:
      return before.matched == it.matched;
    case Behavior::isolated:
    case Behavior::removed:
      return false;
  }
  return false;
}

/// Adds the pieces that a split makes of one piece.
void split(std::string_view text, const Step &step, std::vector<std::string> &pieces) {
  const std::vector<Cut> cuts = cut(text, step);
  bool open = false;
  for (std::size_t index = 0; index < cuts.size(); ++index) {
    if (step.behavior == Behavior::removed && cuts[index].matched) continue;
    if (index > 0 && open && extends(step.behavior, cuts[index - 1], cuts[index])) {
      pieces.back() += cuts[index].text;
    } else {
      pieces.emplace_back(cuts[index].text);
      open = true;
    }
  }
}

struct AddedToken {
  std::int32_t id;
  bool special, normalized, strips_left, strips_right;
  std::string content;
};

struct Merge {
  std::uint32_t rank;
  std::int32_t merged;
};

/// A part of the text: an added token, or, with `id` -1, text to look at further.
struct Section {
  std::int32_t id;
  std::string text;
  bool first;
};

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
}

struct PairHash {
  std::size_t operator()(std::uint64_t key) const {
    return static_cast<std::size_t>((key * 0x9e3779b97f4a7c15ull) >> 17);
  }
};

/// Finds added tokens: the leftmost, and of those the longest.
class AddedTokenFinder {
 public:
  void add(const AddedToken &token) { by_first_[static_cast<unsigned char>(token.content[0])].push_back(token); }

  void finish() {
    for (auto &list : by_first_) {
      std::stable_sort(list.begin(), list.end(),
                       [](const auto &a, const auto &b) { return a.content.size() > b.content.size(); });
    }
  }

  void split(const Section &section, bool parse_special, std::vector<Section> &sections) const {
    const std::string_view text = section.text;
    std::size_t done = 0;
    const auto flush = [&](std::size_t end) {
      if (end > done) sections.push_back({-1, std::string(text.substr(done, end - done)), section.first && done == 0});
    };
    for (std::size_t at = 0; at < text.size();) {
      const AddedToken *token = find(text.substr(at));
      if (token == nullptr) {
        ++at;
        continue;
      }
      std::size_t end = at + token->content.size();
      if (parse_special || !token->special) {
        flush(token->strips_left ? done + without_trailing_space(text.substr(done, at - done)) : at);
        while (token->strips_right) {
          const std::size_t space = white_space_length(text.substr(end));
          if (space == 0) break;
          end += space;
        }
        sections.push_back({token->id, {}, false});
        done = end;
      }
      at = end;
    }
    flush(text.size());
  }

 private:
  const AddedToken *find(std::string_view text) const {
    for (const AddedToken &token : by_first_[static_cast<unsigned char>(text[0])]) {
      if (starts_with(text, token.content)) return &token;
    }
    return nullptr;
  }

  static std::size_t without_trailing_space(std::string_view text) {
    std::size_t end = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t space = white_space_length(text.substr(at));
      at += space != 0 ? space : utf8_part(text, at).length;
      if (space == 0) end = at;
    }
    return end;
  }

  std::array<std::vector<AddedToken>, 256> by_first_;
};

}  // namespace

// ---------------------------------------------------------------------------------------------- tables

struct Tokenizer::Tables {
  bool metaspace = false, ignore_merges = false, byte_fallback = false, fuse_unknown = false;
  enum class Normalizer { none, metaspace, prepend_metaspace, nfc } normalizer = Normalizer::none;
  std::int32_t bos = -1, eos = -1, unknown = -1;
  std::vector<std::int32_t> prefix;
  /// Token bytes as in the section, and as shown (metaspaces and byte tokens resolved); both end at `ends`.
  std::string stored, shown;
  std::vector<std::uint32_t> stored_ends, shown_ends;
  std::vector<bool> special;
  std::unordered_map<std::uint64_t, Merge, PairHash> merges;
  std::unordered_map<std::string_view, std::int32_t> ids;
  std::array<std::int32_t, 256> byte_tokens;
  AddedTokenFinder raw, normalized;
  std::vector<Step> steps;

  explicit Tables(Reader &reader);

  std::string_view token(std::int32_t id) const { return slice(stored, stored_ends, id); }
  static std::string_view slice(std::string_view all, const std::vector<std::uint32_t> &ends, std::int32_t id) {
    const std::uint32_t start = id == 0 ? 0 : ends[id - 1];
    return all.substr(start, ends[id] - start);
  }

  std::int32_t checked_id(std::uint32_t id, const char *what) const {
    if (id >= stored_ends.size()) malformed(std::string(what) + " " + std::to_string(id) + " is no token");
    return static_cast<std::int32_t>(id);
  }
  std::int32_t optional_id(std::uint32_t id, const char *what) const {
    return id == 0xffffffffu ? -1 : checked_id(id, what);
  }

  void read_merges(const std::vector<std::uint32_t> &words);
  void read_added(Reader &reader, std::uint32_t count);
  void read_step(Reader &reader);
  void index_tokens(const std::uint8_t *ordinary);
  std::string normalize(const std::string &text) const;
  void apply(const Step &step, std::vector<std::string> &pieces, bool first) const;
  void encode_piece(std::string_view piece, std::vector<std::int32_t> &result) const;
  void symbols(std::string_view piece, std::vector<std::int32_t> &result) const;
  bool fall_back(std::string_view character, std::vector<std::int32_t> &result) const;
  void merge(const std::vector<std::int32_t> &word, std::vector<std::int32_t> &result) const;
};

Tokenizer::Tables::Tables(Reader &reader) {
  const std::size_t size = reader.left();
  if (std::memcmp(reader.take(4, "its magic"), "GTOK", 4) != 0) malformed("wrong magic");
  const std::uint32_t version = reader.word("its header");
  if (version != kVersion) malformed("version " + std::to_string(version) + ", but this runtime reads 1");
  if (reader.word("its header") != size) malformed("its size is not " + std::to_string(size) + " bytes");
  const std::uint32_t flags = reader.word("its header");
  if (flags > 15) malformed("unknown flags");
  metaspace = (flags & 1) != 0;
  ignore_merges = (flags & 2) != 0;
  byte_fallback = (flags & 4) != 0;
  fuse_unknown = (flags & 8) != 0;
  const std::uint32_t normalizing = reader.word("its header");
  if (normalizing > 3) malformed("unknown normaliser");
  normalizer = static_cast<Normalizer>(normalizing);
  const std::vector<std::uint32_t> head = reader.words(8, "its header");
  if (head[3] == 0 || head[3] > kMaxTokens) malformed(std::to_string(head[3]) + " tokens");
  stored_ends = reader.words(head[3], "the token table");
  bos = optional_id(head[0], "bos");
  eos = optional_id(head[1], "eos");
  unknown = optional_id(head[2], "the unknown token");
  read_merges(reader.words(std::uint64_t{head[4]} * 3, "the merges"));
  for (std::uint32_t id : reader.words(head[7], "the prefix")) prefix.push_back(checked_id(id, "prefix id"));
  special.resize(stored_ends.size());
  read_added(reader, head[5]);
  for (std::uint32_t index = 0; index < head[6]; ++index) read_step(reader);
  const std::uint8_t *ordinary = reader.take(stored_ends.size(), "the token flags");
  for (std::size_t id = 1; id < stored_ends.size(); ++id) {
    if (stored_ends[id] < stored_ends[id - 1]) malformed("token " + std::to_string(id) + " ends before it begins");
  }
  if (stored_ends.back() != reader.left()) malformed("the token bytes are not " + std::to_string(stored_ends.back()));
  const std::size_t length = reader.left();
  stored.assign(reinterpret_cast<const char *>(reader.take(length, "the token bytes")), length);
  index_tokens(ordinary);
}

void Tokenizer::Tables::read_merges(const std::vector<std::uint32_t> &words) {
  merges.reserve(words.size() / 3);
  for (std::size_t at = 0; at < words.size(); at += 3) {
    const std::int32_t left = checked_id(words[at], "merge part"), right = checked_id(words[at + 1], "merge part");
    const Merge merge{static_cast<std::uint32_t>(at / 3), checked_id(words[at + 2], "merge result")};
    merges.insert_or_assign(pair_key(left, right), merge);
  }
}

void Tokenizer::Tables::read_added(Reader &reader, std::uint32_t count) {
  for (std::uint32_t index = 0; index < count; ++index) {
    const std::int32_t id = checked_id(reader.word("an added token"), "added token");
    const std::uint32_t flags = reader.word("an added token");
    if (flags > 15) malformed("unknown flags of an added token");
    AddedToken token{
        id, (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, (flags & 8) != 0, reader.text("an added token")};
    if (token.content.empty() || to_valid_utf8(token.content) != token.content) {
      malformed("added token " + std::to_string(id) + " is empty or not UTF-8");
    }
    if (token.special) special[id] = true;
    if (token.normalized && normalizer != Normalizer::none) {
      token.content = normalize(token.content);
      normalized.add(token);
    } else {
      raw.add(token);
    }
  }
  raw.finish();
  normalized.finish();
}

void Tokenizer::Tables::read_step(Reader &reader) {
  const std::uint32_t kind = reader.word("a step"), option = reader.word("a step");
  const std::string pattern = reader.text("a pattern");
  if (kind > 2) malformed("unknown step " + std::to_string(kind));
  Step step;
  step.kind = static_cast<Step::Kind>(kind);
  if (step.kind == Step::Kind::split) {
    if ((option & ~16u) > 4) malformed("unknown split behaviour");
    step.behavior = static_cast<Behavior>(option & 15);
    step.invert = (option & 16) != 0;
    step.pattern = std::make_unique<Pattern>(pattern);
  } else if (step.kind == Step::Kind::metaspace) {
    if (option > 2) malformed("unknown prepend scheme");
    step.prepend = static_cast<Step::Prepend>(option);
  }
  steps.push_back(std::move(step));
}

/// Fills `ids`, `byte_tokens` and `shown` from `stored`.
void Tokenizer::Tables::index_tokens(const std::uint8_t *ordinary) {
  static constexpr char digits[] = "0123456789ABCDEF";
  ids.reserve(stored_ends.size());
  shown_ends.reserve(stored_ends.size());
  byte_tokens.fill(-1);
  std::vector<bool> is_ordinary(stored_ends.size());
  for (std::size_t index = 0; index < stored_ends.size(); ++index) {
    const auto id = static_cast<std::int32_t>(index);
    if (ordinary[index] != 0 && !token(id).empty()) ids.emplace(token(id), id);
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char one = static_cast<char>(byte);
    const std::string name =
        metaspace ? std::string("<0x") + digits[byte >> 4] + digits[byte & 15] + ">" : std::string(1, one);
    const auto found = ids.find(name);
    if (found != ids.end()) byte_tokens[byte] = found->second;
  }
  for (std::size_t index = 0; index < stored_ends.size(); ++index) {
    std::string_view text = token(static_cast<std::int32_t>(index));
    if (metaspace) {
      for (std::size_t at = text.find(kMetaspace); at != text.npos; at = text.find(kMetaspace)) {
        shown.append(text.substr(0, at)).append(" ");
        text.remove_prefix(at + kMetaspace.size());
      }
    }
    shown += text;
    shown_ends.push_back(static_cast<std::uint32_t>(shown.size()));
  }
  if (!metaspace || !byte_fallback) return;
  std::string resolved;
  std::vector<std::uint32_t> ends;
  std::unordered_map<std::int32_t, char> bytes;
  for (unsigned byte = 0; byte < 256; ++byte) bytes.emplace(byte_tokens[byte], static_cast<char>(byte));
  for (std::size_t index = 0; index < shown_ends.size(); ++index) {
    const auto id = static_cast<std::int32_t>(index);
    const auto byte = bytes.find(id);
    if (byte != bytes.end()) {
      resolved += byte->second;
    } else {
      resolved += slice(shown, shown_ends, id);
    }
    ends.push_back(static_cast<std::uint32_t>(resolved.size()));
  }
  shown = std::move(resolved);
  shown_ends = std::move(ends);
}

// ---------------------------------------------------------------------------------------------- encoding

std::string Tokenizer::Tables::normalize(const std::string &text) const {
  if (text.empty()) return text;
  switch (normalizer) {
    case Normalizer::none:
      return text;
    case Normalizer::metaspace:
      return with_metaspaces(text);
    case Normalizer::prepend_metaspace:
      return std::string(kMetaspace) + with_metaspaces(text);
    case Normalizer::nfc:
      return to_nfc(text);
  }
  return text;
}

void Tokenizer::Tables::apply(const Step &step, std::vector<std::string> &pieces, bool first) const {
  std::vector<std::string> result;
  for (std::size_t index = 0; index < pieces.size(); ++index) {
    std::string &piece = pieces[index];
    switch (step.kind) {
      case Step::Kind::split:
        split(piece, step, result);
        break;
      case Step::Kind::prefix_space:
        result.push_back(piece[0] == ' ' ? std::move(piece) : " " + piece);
        break;
      case Step::Kind::metaspace: {
        std::string text = with_metaspaces(piece);
        const bool prepend =
            step.prepend == Step::Prepend::always || (step.prepend == Step::Prepend::first && first && index == 0);
        result.push_back(prepend && !starts_with(text, kMetaspace) ? std::string(kMetaspace) + text : std::move(text));
        break;
      }
    }
  }
  result.erase(std::remove_if(result.begin(), result.end(), [](const std::string &it) { return it.empty(); }),
               result.end());
  pieces = std::move(result);
}

void Tokenizer::Tables::encode_piece(std::string_view piece, std::vector<std::int32_t> &result) const {
  if (ignore_merges) {
    const auto whole = ids.find(piece);
    if (whole != ids.end()) {
      result.push_back(whole->second);
      return;
    }
  }
  std::vector<std::int32_t> word;
  symbols(piece, word);
  merge(word, result);
}

/// The tokens that merging starts from. What has none vanishes here, so that its neighbours meet, unless there is
/// an unknown token; as in the reference, an unknown is only written when a known character or the end follows.
void Tokenizer::Tables::symbols(std::string_view piece, std::vector<std::int32_t> &result) const {
  bool pending = false;
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t length = metaspace ? utf8_part(piece, at).length : 1;
    const std::string_view symbol = piece.substr(at, length);
    at += length;
    std::int32_t id = -1;
    if (!metaspace) {
      id = byte_tokens[static_cast<unsigned char>(symbol[0])];
    } else if (const auto found = ids.find(symbol); found != ids.end()) {
      id = found->second;
    }
    if (id >= 0) {
      if (pending) result.push_back(unknown);
      pending = false;
      result.push_back(id);
    } else if (!(byte_fallback && fall_back(symbol, result)) && unknown >= 0) {
      if (pending && !fuse_unknown) result.push_back(unknown);
      pending = true;
    }
  }
  if (pending) result.push_back(unknown);
}

bool Tokenizer::Tables::fall_back(std::string_view character, std::vector<std::int32_t> &result) const {
  if (!metaspace) return false;
  for (unsigned char byte : character) {
    if (byte_tokens[byte] < 0) return false;
  }
  for (unsigned char byte : character) result.push_back(byte_tokens[byte]);
  return true;
}

/// BPE: of all neighbouring pairs the one of best rank is merged, the leftmost first. A heap holds the pairs and a
/// linked list the word: n log n for n symbols.
void Tokenizer::Tables::merge(const std::vector<std::int32_t> &word, std::vector<std::int32_t> &result) const {
  if (word.size() > std::numeric_limits<std::uint32_t>::max() - 1) throw std::runtime_error("tokenizer: text too long");
  constexpr std::uint32_t none = 0xffffffffu;
  struct Symbol {
    std::int32_t id;  // -1: merged into the one before
    std::uint32_t previous, next;
  };
  struct Candidate {
    std::uint32_t rank, at;
    std::int32_t left, right, merged;
    bool operator>(const Candidate &other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
  };
  const auto count = static_cast<std::uint32_t>(word.size());
  std::vector<Symbol> list(count);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<Candidate>> queue;
  const auto consider = [&](std::uint32_t at) {
    if (at == none || list[at].next == none) return;
    const std::int32_t left = list[at].id, right = list[list[at].next].id;
    const auto found = merges.find(pair_key(left, right));
    if (found != merges.end()) queue.push({found->second.rank, at, left, right, found->second.merged});
  };
  for (std::uint32_t at = 0; at < count; ++at) {
    list[at] = {word[at], at == 0 ? none : at - 1, at + 1 == count ? none : at + 1};
  }
  for (std::uint32_t at = 0; at < count; ++at) consider(at);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol &left = list[best.at];
    if (left.id != best.left || left.next == none || list[left.next].id != best.right) continue;
    Symbol &right = list[left.next];
    left.id = best.merged;
    right.id = -1;
    left.next = right.next;
    if (left.next != none) list[left.next].previous = best.at;
    consider(left.previous);
    consider(best.at);
  }
  for (std::uint32_t at = count == 0 ? none : 0; at != none; at = list[at].next) result.push_back(list[at].id);
}

// ---------------------------------------------------------------------------------------------- Tokenizer

Tokenizer::Tokenizer(std::unique_ptr<Tables> tables) : tables_(std::move(tables)) {}
Tokenizer::Tokenizer(Tokenizer &&) noexcept = default;
Tokenizer &Tokenizer::operator=(Tokenizer &&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::uint8_t *bytes, std::size_t size) {
  Reader reader(bytes, size);
  return Tokenizer(std::make_unique<Tables>(reader));
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool parse_special) const {
  const Tables &tables = *tables_;
  std::vector<Section> raw, sections;
  tables.raw.split({-1, to_valid_utf8(text), true}, parse_special, raw);
  for (Section &section : raw) {
    if (section.id >= 0) {
      sections.push_back(std::move(section));
    } else {
      section.text = tables.normalize(section.text);
      tables.normalized.split(section, parse_special, sections);
    }
  }
  std::vector<std::int32_t> result;
  for (Section &section : sections) {
    if (section.id >= 0) {
      result.push_back(section.id);
      continue;
    }
    std::vector<std::string> pieces{std::move(section.text)};
    for (const Step &step : tables.steps) tables.apply(step, pieces, section.first);
    for (const std::string &piece : pieces) tables.encode_piece(piece, result);
  }
  return result;
}

std::string_view Tokenizer::bytes(std::int32_t id) const {
  if (id < 0 || id >= size()) return {};
  return Tables::slice(tables_->shown, tables_->shown_ends, id);
}

bool Tokenizer::is_special(std::int32_t id) const { return id >= 0 && id < size() && tables_->special[id]; }
std::int32_t Tokenizer::bos() const { return tables_->bos; }
std::int32_t Tokenizer::eos() const { return tables_->eos; }
const std::vector<std::int32_t> &Tokenizer::prefix() const { return tables_->prefix; }
std::int32_t Tokenizer::size() const { return static_cast<std::int32_t>(tables_->stored_ends.size()); }

// ---------------------------------------------------------------------------------------------- Utf8Stream

std::string Utf8Stream::push(std::string_view bytes) {
  held_ += bytes;
  std::string result;
  std::size_t at = 0;
  while (at < held_.size()) {
    const Utf8Part part = utf8_part(held_, at);
    if (part.kind == Utf8Part::incomplete) break;
    result += part.kind == Utf8Part::whole ? std::string_view(held_).substr(at, part.length) : kReplacement;
    at += part.length;
  }
  held_.erase(0, at);
  return result;
}

std::string Utf8Stream::finish() {
  const bool any = !held_.empty();
  held_.clear();
  return any ? std::string(kReplacement) : std::string();
}

}  // namespace gsic
