// Proposals in a batch. A round of drafts is a pass for all texts that want one; the pass that verifies has a column
// for each proposal besides those of the texts.
#include <algorithm>
#include <cmath>

#include "batch.h"
#include "clock.h"
#include "look_up.h"

namespace gsic {
namespace {

/// Until passes of drafts are measured, and again after so many passes without one: texts change.
constexpr size_t kFirstDraft = 3;
constexpr uint64_t kPatience = 32;

}  // namespace

size_t Batch::propose_foreseen(const std::vector<Piece> &pieces, size_t room) {
  const size_t before = room;
  for (const Piece &piece : pieces) {
    BatchText &text = *piece.text;
    text.foreseen = false;
    if (!text.request.constrained || text.asks() || piece.count < text.remaining()) continue;
    const std::vector<int32_t> &ahead = text.allowed.ahead();
    const size_t length = text.tokens.size(), context = model().manifest().context;
    if (text.request.limit <= text.produced || length >= context) continue;
    const size_t most =
        std::min({room, ahead.size(), text.request.limit - text.produced - 1, size_t(context) - length});
    const size_t count = grow_freely(text, length + most) - length;
    text.proposals.assign(ahead.begin(), ahead.begin() + long(count));
    text.foreseen = true;
    room -= count;
  }
  return before - room;
}

void Batch::propose(const std::vector<Piece> &pieces, size_t room) {
  std::vector<BatchText *> texts;
  for (const Piece &piece : pieces) {
    BatchText &text = *piece.text;
    text.chain = 1;
    text.most = 0;
    // What may come behind what it is bound to go on with is not known.
    if (text.request.constrained) continue;
    const size_t asked = text.request.limit - text.produced - 1;
    const size_t context = model().manifest().context - text.tokens.size();
    const size_t most = std::min({room, asked, context});
    text.most = grow_freely(text, text.tokens.size() + most) - text.tokens.size();
    const size_t found = look_up(text, text.most);
    room -= found;
    if (found == 0 && text.most > 0) texts.push_back(&text);
  }
  // One text's share, so that all have proposals where there is little room.
  for (texts = worth_drafting(texts, room); !texts.empty(); texts = worth_drafting(texts, room)) {
    draft(texts);
    room -= std::min(room, texts.size());
  }
}

size_t Batch::look_up(BatchText &text, size_t most) {
  if (!pace_.known()) return 0;
  const Match match = gsic::look_up(text.tokens);
  if (match.length < kLeastMatch) return 0;
  const double p = text.policy.acceptance_of_match(match.length), price = pace_.price();
  const auto from = text.tokens.begin() + long(match.next);
  for (; text.proposals.size() < most && from + long(text.proposals.size()) != text.tokens.end(); text.chain *= p) {
    const int32_t id = from[long(text.proposals.size())];
    if (id == model().end_of_text() || text.chain * p <= price) break;
    text.proposals.push_back(id);
  }
  text.match = match.length;
  return text.proposals.size();
}

std::vector<BatchText *> Batch::worth_drafting(const std::vector<BatchText *> &texts, size_t room) const {
  std::vector<BatchText *> worth;
  double promised = 0;
  const bool tries = !pace_.known() || pass_ - drafted_ > kPatience;
  for (BatchText *text : texts) {
    if (worth.size() == room) break;
    const size_t proposed = text->proposals.size();
    // A draft that ended the text, or another that nobody verified, is the last.
    if (proposed >= text->most || text->margins.size() != proposed || text->chain == 0) continue;
    const double next = text->chain * text->policy.acceptance(NAN);
    if (tries ? proposed >= kFirstDraft : next <= pace_.price()) continue;
    promised += next - (tries ? 0 : pace_.price());
    worth.push_back(text);
  }
  if (!tries && promised <= pace_.draft_price(worth.size())) worth.clear();
  return worth;
}

void Batch::draft(const std::vector<BatchText *> &texts) {
  const double start = seconds_now();
  gsic_step step = {};
  for (BatchText *text : texts) add_run(step, *text, text->tokens.size() - 1 + text->proposals.size(), 1);
  step.wanted = (1u << step.columns) - 1u;
  passes_.run(passes_.draft(), step);
  for (uint32_t column = 0; column < texts.size(); column++) {
    BatchText &text = *texts[column];
    const Choice choice = pick(text, passes_.draft(), column, Past(text.tokens, text.proposals));
    if (choice.id == model().end_of_text()) {
      text.chain = 0;
      continue;
    }
    text.proposals.push_back(choice.id);
    text.margins.push_back(choice.margin);
    text.chain *= text.policy.acceptance(choice.margin);
  }
  pace_.drafted(texts.size(), seconds_now() - start);
  drafted_ = pass_;
}

void Batch::learn(BatchText &text, size_t accepted) {
  const bool drafted = !text.margins.empty();
  const size_t proposed = text.proposals.size(), tested = std::min(proposed, accepted + 1);
  for (size_t i = 0; i < tested && !text.foreseen; i++)
    drafted ? text.policy.learn(text.margins[i], i < accepted) : text.policy.learn_look_up(text.match, i < accepted);
  tally_.proposed_tokens += proposed;
  tally_.accepted_tokens += accepted;
  text.proposals.clear();
  text.margins.clear();
}

}  // namespace gsic
