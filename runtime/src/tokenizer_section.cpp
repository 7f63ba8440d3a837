#include "tokenizer_section.h"

#include <cstring>
#include <utility>

#include "tokenizer_error.h"
#include "utf8.h"

namespace gsic {
namespace {

constexpr uint32_t kVersion = 1;
constexpr uint32_t kMostTokens = 1u << 22;
constexpr uint32_t kNoId = 0xffffffffu;

/// Reads the section front to back; every read is checked against what is left.
class Reader {
 public:
  Reader(const uint8_t *bytes, size_t size) : at_(bytes), left_(size) {}

  size_t left() const { return left_; }

  const uint8_t *take(size_t count, const char *what) {
    if (count > left_) malformed(std::string("ends within ") + what);
    const uint8_t *start = at_;
    at_ += count;
    left_ -= count;
    return start;
  }

  uint32_t word(const char *what) {
    const uint8_t *b = take(4, what);
    return uint32_t(b[0]) | uint32_t(b[1]) << 8 | uint32_t(b[2]) << 16 | uint32_t(b[3]) << 24;
  }

  std::vector<uint32_t> words(uint64_t count, const char *what) {
    if (count > left_ / 4) malformed(std::string("ends within ") + what);
    std::vector<uint32_t> result(static_cast<size_t>(count));
    for (uint32_t &value : result) value = word(what);
    return result;
  }

  std::string text(const char *what) {
    const uint32_t length = word(what);
    return std::string(reinterpret_cast<const char *>(take(length, what)), length);
  }

 private:
  const uint8_t *at_;
  size_t left_;
};

/// How many there are of each, in the order of the header.
struct Counts {
  uint32_t tokens, merges, added, steps, prefix;
};

/// Reads the parts of a section, in order.
class SectionReader {
 public:
  SectionReader(const uint8_t *bytes, size_t size) : reader_(bytes, size) {}

  std::unique_ptr<const TokenizerTables> read() {
    read_header();
    read_merges();
    for (const uint32_t id : reader_.words(counts_.prefix, "the prefix"))
      tables_->prefix.push_back(checked_id(id, "prefix id"));
    read_added();
    for (uint32_t i = 0; i < counts_.steps; i++) tables_->steps.push_back(read_step());
    read_tokens();
    return std::move(tables_);
  }

 private:
  void read_header();
  void read_merges();
  void read_added();
  PreTokenizer read_step();
  void read_tokens();

  uint32_t header() { return reader_.word("its header"); }

  int32_t checked_id(uint32_t id, const char *what) const {
    if (id >= counts_.tokens) malformed(std::string(what) + " " + std::to_string(id) + " is no token");
    return int32_t(id);
  }
  int32_t optional_id(uint32_t id, const char *what) const { return id == kNoId ? -1 : checked_id(id, what); }

  Reader reader_;
  Counts counts_{};
  std::vector<uint32_t> ends_;
  std::unique_ptr<TokenizerTables> tables_ = std::make_unique<TokenizerTables>();
};

void SectionReader::read_header() {
  const size_t size = reader_.left();
  if (std::memcmp(reader_.take(4, "its magic"), "GTOK", 4) != 0) malformed("wrong magic");
  const uint32_t version = header();
  if (version != kVersion) malformed("version " + std::to_string(version) + ", but this runtime reads 1");
  if (header() != size) malformed("its size is not " + std::to_string(size) + " bytes");
  const uint32_t flags = header();
  if (flags > 15) malformed("unknown flags");
  tables_->metaspace = (flags & 1) != 0;
  tables_->ignore_merges = (flags & 2) != 0;
  tables_->byte_fallback = (flags & 4) != 0;
  tables_->fuse_unknown = (flags & 8) != 0;
  const uint32_t normalizer = header();
  if (normalizer > 3) malformed("unknown normaliser");
  tables_->normalizer = Normalizer(normalizer);
  const std::vector<uint32_t> ids = reader_.words(3, "its header"), counts = reader_.words(5, "its header");
  counts_ = {counts[0], counts[1], counts[2], counts[3], counts[4]};
  if (counts_.tokens == 0 || counts_.tokens > kMostTokens) malformed(std::to_string(counts_.tokens) + " tokens");
  ends_ = reader_.words(counts_.tokens, "the token table");
  tables_->bos = optional_id(ids[0], "bos");
  tables_->eos = optional_id(ids[1], "eos");
  tables_->unknown = optional_id(ids[2], "the unknown token");
}

void SectionReader::read_merges() {
  const std::vector<uint32_t> words = reader_.words(uint64_t(counts_.merges) * 3, "the merges");
  tables_->merges.reserve(counts_.merges);
  for (size_t at = 0; at < words.size(); at += 3)
    tables_->merges.add(checked_id(words[at], "merge part"), checked_id(words[at + 1], "merge part"),
                        checked_id(words[at + 2], "merge result"));
}

void SectionReader::read_added() {
  tables_->special.resize(counts_.tokens);
  for (uint32_t i = 0; i < counts_.added; i++) {
    const int32_t id = checked_id(reader_.word("an added token"), "added token");
    const uint32_t flags = reader_.word("an added token");
    if (flags > 15) malformed("unknown flags of an added token");
    AddedToken token{
        id, (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, (flags & 8) != 0, reader_.text("an added token")};
    if (token.content.empty() || to_valid_utf8(token.content) != token.content)
      malformed("added token " + std::to_string(id) + " is empty or not UTF-8");
    if (token.special) {
      tables_->special[size_t(id)] = true;
      tables_->special_texts.push_back(token.content);
    }
    if (token.normalized && tables_->normalizer != Normalizer::none) {
      token.content = normalized(tables_->normalizer, token.content);
      tables_->added_normalized.add(token);
    } else {
      tables_->added.add(token);
    }
  }
  tables_->added.finish();
  tables_->added_normalized.finish();
}

PreTokenizer SectionReader::read_step() {
  const uint32_t kind = reader_.word("a step"), option = reader_.word("a step");
  const std::string pattern = reader_.text("a pattern");
  if (kind > 2) malformed("unknown step " + std::to_string(kind));
  PreTokenizer step;
  step.kind = PreTokenizer::Kind(kind);
  if (step.kind == PreTokenizer::Kind::split) {
    if ((option & ~16u) > 4) malformed("unknown split behaviour");
    step.behavior = Behavior(option & 15);
    step.invert = (option & 16) != 0;
    step.pattern = std::make_unique<Pattern>(pattern);
  } else if (step.kind == PreTokenizer::Kind::metaspace) {
    if (option > 2) malformed("unknown prepend scheme");
    step.prepend = PreTokenizer::Prepend(option);
  }
  return step;
}

void SectionReader::read_tokens() {
  const uint8_t *ordinary = reader_.take(counts_.tokens, "the token flags");
  for (size_t id = 1; id < ends_.size(); id++)
    if (ends_[id] < ends_[id - 1]) malformed("token " + std::to_string(id) + " ends before it begins");
  if (ends_.back() != reader_.left()) malformed("the token bytes are not " + std::to_string(ends_.back()));
  const size_t length = reader_.left();
  TokenTexts stored;
  stored.bytes.assign(reinterpret_cast<const char *>(reader_.take(length, "the token bytes")), length);
  stored.ends = std::move(ends_);
  const Spelling spelling{tables_->metaspace, tables_->byte_fallback};
  tables_->vocabulary = std::make_unique<const Vocabulary>(std::move(stored), ordinary, spelling);
}

}  // namespace

std::unique_ptr<const TokenizerTables> read_tokenizer(const uint8_t *bytes, size_t size) {
  return SectionReader(bytes, size).read();
}

}  // namespace gsic
