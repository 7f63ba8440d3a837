#include "tokenizer_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdint>
#include <new>

#include "error.h"
#include "tokenizer_error.h"
#include "utf8.h"

namespace gsic {
namespace {

/// Without \C, which would cut characters in two: what follows takes text for valid UTF-8, and reads beyond otherwise.
constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;

struct Free {
  void operator()(pcre2_compile_context *context) const { pcre2_compile_context_free(context); }
  void operator()(pcre2_code *code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data *data) const { pcre2_match_data_free(data); }
};

std::string message(int error) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char *>(text);
}

/// A text on which a pattern takes too long, or would go on for ever, is the fault of who wrote it, as far as anybody
/// can tell.
[[noreturn]] void give_up(int error) {
  const bool limit = error == PCRE2_ERROR_MATCHLIMIT || error == PCRE2_ERROR_DEPTHLIMIT ||
                     error == PCRE2_ERROR_HEAPLIMIT || error == PCRE2_ERROR_RECURSELOOP;
  const std::string what = "the tokenizer's pattern gives up on this text: " + message(error);
  throw Error(limit ? GSIC_INVALID_ARGUMENT : GSIC_INTERNAL, what, limit ? "give a shorter or simpler text" : "");
}

int match(const pcre2_code *code, std::string_view text, size_t at, pcre2_match_data *data) {
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  // The text is known to be valid, and checking it anew for every match would cost its length squared.
  const int count = pcre2_match(code, subject, text.size(), at, PCRE2_NO_UTF_CHECK, data, nullptr);
  if (count != PCRE2_ERROR_JIT_STACKLIMIT) return count;
  return pcre2_match(code, subject, text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, nullptr);
}

}  // namespace

struct Pattern::Compiled {
  std::unique_ptr<pcre2_code, Free> code;
};

Pattern::Pattern(const std::string &source) : compiled_(std::make_unique<Compiled>()) {
  const std::unique_ptr<pcre2_compile_context, Free> context(pcre2_compile_context_create(nullptr));
  if (!context) throw std::bad_alloc();
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  const auto text = reinterpret_cast<PCRE2_SPTR>(source.data());
  compiled_->code.reset(pcre2_compile(text, source.size(), kOptions, &error, &offset, context.get()));
  if (!compiled_->code)
    malformed("pattern \"" + source + "\": " + message(error) + " at byte " + std::to_string(offset));
  pcre2_jit_compile(compiled_->code.get(), PCRE2_JIT_COMPLETE);  // without JIT, matching interprets: the same, slower
}

Pattern::~Pattern() = default;

void Pattern::for_each(std::string_view text, const std::function<void(size_t start, size_t end)> &found) const {
  const pcre2_code *code = compiled_->code.get();
  const std::unique_ptr<pcre2_match_data, Free> data(pcre2_match_data_create_from_pattern(code, nullptr));
  if (!data) throw std::bad_alloc();
  size_t at = 0, done = 0;
  bool any = false;
  while (at <= text.size()) {
    const int count = match(code, text, at, data.get());
    if (count == PCRE2_ERROR_NOMATCH) return;
    if (count < 0) give_up(count);
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(data.get());
    const size_t start = span[0], end = span[1];
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

}  // namespace gsic
