#include "tokenizer.h"

#include <utility>

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
std::vector<TextPart> parts_of(const TokenizerTables &tables, std::string_view text, bool parse_special) {
  std::vector<TextPart> raw, parts;
  tables.added.split({-1, to_valid_utf8(text), true}, parse_special, raw);
  for (TextPart &part : raw) {
    if (part.id >= 0) {
      parts.push_back(std::move(part));
    } else {
      part.text = normalized(tables.normalizer, part.text);
      tables.added_normalized.split(part, parse_special, parts);
    }
  }
  return parts;
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const TokenizerTables> tables) : tables_(std::move(tables)) {}
Tokenizer::Tokenizer(Tokenizer &&) noexcept = default;
Tokenizer &Tokenizer::operator=(Tokenizer &&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const uint8_t *bytes, size_t size) { return Tokenizer(read_tokenizer(bytes, size)); }

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool parse_special) const {
  std::vector<int32_t> ids;
  for (TextPart &part : parts_of(*tables_, text, parse_special)) {
    if (part.id >= 0) {
      ids.push_back(part.id);
      continue;
    }
    std::vector<std::string> pieces{std::move(part.text)};
    for (const PreTokenizer &step : tables_->steps) step.apply(pieces, part.first);
    for (const std::string &piece : pieces) encode_piece(*tables_, piece, ids);
  }
  return ids;
}

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
