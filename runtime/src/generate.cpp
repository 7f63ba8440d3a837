#include "generate.h"

#include "error.h"
#include "speculate.h"
#include "utf8.h"

namespace gsic {
namespace {

/// Tokens as they are chosen. The session's last token is not evaluated when another is asked for.
class Choices {
 public:
  Choices(Session &session, Chooser &chooser) : session_(session), chooser_(chooser) {}

  /// The token behind `ids`, which are appended.
  int32_t first(const std::vector<int32_t> &ids) { return advance(ids.data(), ids.size()); }

  /// The next token; the session may hold it already, and up to `most` - 1 behind it.
  int32_t next(size_t most) {
    if (!session_.drafts()) return advance(nullptr, 0);
    if (taken_ == ready_.size()) {
      ready_ = speculate(session_, chooser_, most, session_.model().end_of_text());
      taken_ = 0;
    }
    return ready_[taken_++];
  }

 private:
  int32_t advance(const int32_t *ids, size_t count) {
    if (chooser_.takes_largest()) return session_.choose(ids, count);
    int32_t id = -1;
    session_.evaluate(ids, count, 1, [&](size_t, const float *logits) {
      id = chooser_.pick(logits, Past(session_.tokens(), session_.length())).id;
    });
    return id;
  }

  Session &session_;
  Chooser &chooser_;
  std::vector<int32_t> ready_;
  size_t taken_ = 0;
};

/// Leaves the session with `length` tokens, whatever ends the scope.
class Keep {
 public:
  explicit Keep(Session &session) : length(session.length()), session_(session) {}
  ~Keep() {
    if (session_.length() > length) session_.rewind(length);
  }
  Keep(const Keep &) = delete;
  Keep &operator=(const Keep &) = delete;
  size_t length;

 private:
  Session &session_;
};

}  // namespace

End generate(Session &session, const std::vector<int32_t> &prompt, size_t limit, Chooser &chooser,
             const TokenVisitor &visit) {
  if (prompt.empty())
    throw Error(GSIC_INVALID_ARGUMENT, "the prompt is empty: give at least one token to continue from");
  const Model &model = session.model();
  const Manifest &manifest = model.manifest();
  Choices choices(session, chooser);
  chooser.begin(session.length() + prompt.size());
  if (limit == 0) session.evaluate(prompt.data(), prompt.size(), 0, {});
  int32_t next = limit > 0 ? choices.first(prompt) : -1;
  Keep keep(session);
  Utf8Stream stream;
  for (size_t produced = 0; produced < limit; produced++) {
    if (produced > 0) next = choices.next(limit - produced);
    if (next == model.end_of_text()) return End::end_of_text;
    if (keep.length == manifest.context) return End::context;
    if (session.length() == keep.length) session.append_later(next);
    keep.length++;
    const Tokenizer *tokenizer = model.tokenizer();
    const bool shown = tokenizer != nullptr && !tokenizer->is_special(next);
    if (!visit(next, shown ? stream.push(tokenizer->bytes(next)) : "")) return End::stopped;
  }
  return End::limit;
}

}  // namespace gsic
