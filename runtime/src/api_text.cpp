// The C ABI over the tokenizer: text to ids and back.
#include <algorithm>

#include "api_guard.h"

using namespace gsic;

namespace {

Encoding encoding_of(const gsic_encoding &given, size_t text_bytes) {
  require(given.literal != nullptr || given.literal_count == 0, "gsic_encode_as: literal must not be null");
  Encoding encoding;
  encoding.parse_special = given.parse_special != 0;
  encoding.literal.assign(given.literal, given.literal + given.literal_count);
  require(std::is_sorted(encoding.literal.begin(), encoding.literal.end()) &&
              (encoding.literal.empty() || encoding.literal.back() < text_bytes),
          "gsic_encode_as: literal must be offsets of the text's bytes, ascending");
  if (given.stop != nullptr) encoding.stop = [given] { return given.stop(given.user) != 0; };
  return encoding;
}

}  // namespace

gsic_status gsic_encode(const gsic_model *model, const char *text, size_t text_bytes, int parse_special, int32_t *ids,
                        size_t *count) {
  gsic_encoding encoding = {};
  encoding.parse_special = parse_special;
  return gsic_encode_as(model, text, text_bytes, &encoding, ids, count);
}

gsic_status gsic_encode_as(const gsic_model *model, const char *text, size_t text_bytes, const gsic_encoding *encoding,
                           int32_t *ids, size_t *count) {
  return guard([&] {
    require(model != nullptr && count != nullptr, "gsic_encode: model and count must not be null");
    require(text != nullptr || text_bytes == 0, "gsic_encode: text must not be null");
    const Tokenizer &tokenizer = model->model->require_tokenizer();
    const Encoding how = encoding_of(encoding != nullptr ? *encoding : gsic_encoding{}, text_bytes);
    std::vector<int32_t> all = tokenizer.prefix();
    const std::vector<int32_t> found = tokenizer.encode({text, text_bytes}, how);
    all.insert(all.end(), found.begin(), found.end());
    const size_t room = *count;
    *count = all.size();
    require(all.size() <= room && (ids != nullptr || all.empty()), "gsic_encode: ids has too little room");
    std::copy(all.begin(), all.end(), ids);
    return GSIC_OK;
  });
}

gsic_status gsic_special_text(const gsic_model *model, size_t index, const char **text, size_t *length) {
  return guard([&] {
    require(model != nullptr && text != nullptr && length != nullptr,
            "gsic_special_text: model, text and length must not be null");
    const std::vector<std::string> &texts = model->model->require_tokenizer().special_texts();
    require(index < texts.size(), "gsic_special_text: there are not so many special tokens");
    *text = texts[index].data();
    *length = texts[index].size();
    return GSIC_OK;
  });
}

size_t gsic_special_count(const gsic_model *model) {
  const Tokenizer *tokenizer = model != nullptr ? model->model->tokenizer() : nullptr;
  return tokenizer != nullptr ? tokenizer->special_texts().size() : 0;
}

gsic_status gsic_token_bytes(const gsic_model *model, int32_t id, const char **bytes, size_t *length) {
  return guard([&] {
    require(model != nullptr && bytes != nullptr && length != nullptr,
            "gsic_token_bytes: model, bytes and length must not be null");
    require(id >= 0 && uint32_t(id) < model->model->manifest().vocabulary, "gsic_token_bytes: no such token id");
    const std::string_view found = model->model->require_tokenizer().bytes(id);
    *bytes = found.data() != nullptr ? found.data() : "";
    *length = found.size();
    return GSIC_OK;
  });
}
