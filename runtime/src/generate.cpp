#include "generate.h"

#include "error.h"

namespace gsic {

End generate(Session &session, const std::vector<int32_t> &prompt, size_t limit, Sampler &sampler,
             const TokenVisitor &visit) {
  if (prompt.empty())
    throw Error(GSIC_INVALID_ARGUMENT, "the prompt is empty: give at least one token to continue from");
  const Model &model = session.model();
  const Manifest &manifest = model.manifest();
  int32_t next = -1;
  const LogitsVisitor pick = [&](size_t, const float *logits) { next = sampler.pick(logits, manifest.vocabulary); };
  const auto advance = [&](const int32_t *ids, size_t count) {
    if (sampler.is_greedy())
      next = session.choose(ids, count);
    else
      session.evaluate(ids, count, 1, pick);
  };
  if (limit > 0)
    advance(prompt.data(), prompt.size());
  else
    session.evaluate(prompt.data(), prompt.size(), 0, pick);
  Utf8Stream stream;
  for (size_t produced = 0; produced < limit; produced++) {
    if (produced > 0) advance(nullptr, 0);
    if (next == model.end_of_text()) return End::end_of_text;
    if (session.length() == manifest.context) return End::context;
    session.append_later(next);
    const Tokenizer *tokenizer = model.tokenizer();
    const bool shown = tokenizer != nullptr && !tokenizer->is_special(next);
    if (!visit(next, shown ? stream.push(tokenizer->bytes(next)) : "")) return End::stopped;
  }
  return End::limit;
}

}  // namespace gsic
