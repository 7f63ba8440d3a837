#include "tokenizer.h"

#include <algorithm>
#include <utility>

#include "error.h"
#include "tokenizer_section.h"
#include "utf8.h"

namespace gsic {
namespace {

/// Appends the tokens of a character's bytes; whether all have one.
bool fall_back(const TokenizerTables &tables, std::string_view character, std::vector<int32_t> &ids) {
  if (!tables.metaspace) return false;
  for (const char byte : character)
    if (tables.vocabulary->of_byte(uint8_t(byte)) < 0) return false;
  for (const char byte : character) ids.push_back(tables.vocabulary->of_byte(uint8_t(byte)));
  return true;
}

/// The tokens that merging starts from. What has none vanishes here, so that its neighbours meet, unless there is an
/// unknown token; as in the reference, an unknown is only written when a known character or the end follows.
std::vector<int32_t> symbols_of(const TokenizerTables &tables, std::string_view piece) {
  std::vector<int32_t> symbols;
  bool pending = false;
  for (size_t at = 0; at < piece.size();) {
    const size_t length = tables.metaspace ? utf8_part(piece, at).length : 1;
    const std::string_view symbol = piece.substr(at, length);
    at += length;
    const int32_t id =
        tables.metaspace ? tables.vocabulary->find(symbol) : tables.vocabulary->of_byte(uint8_t(symbol[0]));
    if (id >= 0) {
      if (pending) symbols.push_back(tables.unknown);
      pending = false;
      symbols.push_back(id);
    } else if (!(tables.byte_fallback && fall_back(tables, symbol, symbols)) && tables.unknown >= 0) {
      if (pending && !tables.fuse_unknown) symbols.push_back(tables.unknown);
      pending = true;
    }
  }
  if (pending) symbols.push_back(tables.unknown);
  return symbols;
}

void encode_piece(const TokenizerTables &tables, std::string_view piece, std::vector<int32_t> &ids) {
  const int32_t whole = tables.ignore_merges ? tables.vocabulary->find(piece) : -1;
  if (whole >= 0)
    ids.push_back(whole);
  else
    tables.merges.merge(symbols_of(tables, piece), ids);
}

/// The parts of a text: added tokens, and normalised text between them.
std::vector<TextPart> parts_of(const TokenizerTables &tables, std::string_view text, const Encoding &encoding) {
  const std::string valid = to_valid_utf8(text);
  if (!encoding.literal.empty() && valid.size() != text.size())
    throw Error(GSIC_INVALID_ARGUMENT, "places of a text that is not UTF-8 mean nothing");
  std::vector<TextPart> raw, parts;
  tables.added.split({-1, valid, true, 0}, {encoding.parse_special, &encoding.literal}, raw);
  for (TextPart &part : raw) {
    if (part.id >= 0) {
      parts.push_back(std::move(part));
      continue;
    }
    // Normalising moves places: what holds one of them has no special tokens at all.
    const auto place = std::lower_bound(encoding.literal.begin(), encoding.literal.end(), part.begin);
    const bool literal = place != encoding.literal.end() && *place < part.begin + part.text.size();
    part.text = normalized(tables.normalizer, part.text);
    tables.added_normalized.split(part, {encoding.parse_special && !literal, nullptr}, parts);
  }
  return parts;
}

void require_wanted(const Encoding &encoding) {
  if (encoding.stop && encoding.stop()) throw Error(GSIC_CANCELLED, "the text is not wanted any more");
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const TokenizerTables> tables) : tables_(std::move(tables)) {}
Tokenizer::Tokenizer(Tokenizer &&) noexcept = default;
Tokenizer &Tokenizer::operator=(Tokenizer &&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const uint8_t *bytes, size_t size) { return Tokenizer(read_tokenizer(bytes, size)); }

std::vector<int32_t> Tokenizer::encode(std::string_view text, const Encoding &encoding) const {
  const auto watch = [&] { require_wanted(encoding); };
  std::vector<int32_t> ids;
  for (TextPart &part : parts_of(*tables_, text, encoding)) {
    if (part.id >= 0) {
      ids.push_back(part.id);
      continue;
    }
    std::vector<std::string> pieces{std::move(part.text)};
    for (const PreTokenizer &step : tables_->steps) step.apply(pieces, part.first, watch);
    for (const std::string &piece : pieces) {
      watch();
      encode_piece(*tables_, piece, ids);
    }
  }
  return ids;
}

const std::vector<std::string> &Tokenizer::special_texts() const { return tables_->special_texts; }

std::string_view Tokenizer::bytes(int32_t id) const {
  if (id < 0 || id >= size()) return {};
  return tables_->vocabulary->shown(size_t(id));
}

bool Tokenizer::is_special(int32_t id) const { return id >= 0 && id < size() && tables_->special[size_t(id)]; }
int32_t Tokenizer::bos() const { return tables_->bos; }
int32_t Tokenizer::eos() const { return tables_->eos; }
const std::vector<int32_t> &Tokenizer::prefix() const { return tables_->prefix; }
int32_t Tokenizer::size() const { return int32_t(tables_->vocabulary->size()); }

}  // namespace gsic
