// A pass of a batch, and what comes of it.
#include <algorithm>
#include <cmath>

#include "batch.h"
#include "clock.h"
#include "error.h"
#include "likelihood.h"

namespace gsic {

void Batch::run_pass() {
  pass_++;
  const double start = seconds_now();
  std::vector<Piece> pieces = choose();
  if (pieces.empty()) return;
  const auto is_written = [](const Piece &piece) { return piece.text->writes(); };
  const bool writes = std::all_of(pieces.begin(), pieces.end(), is_written);
  const auto texts = size_t(std::count_if(pieces.begin(), pieces.end(), is_written));
  // Proposals stand in the first group.
  size_t room = GSIC_MAX_COLUMNS;
  for (const Piece &piece : pieces) room -= std::min(room, piece.count);
  const size_t foreseen = propose_foreseen(pieces, room);
  if (passes_.drafts() && writes && !shares_.has_read()) propose(pieces, room - foreseen);
  const std::vector<gsic_step> steps = make_steps(pieces);
  const double proposed = seconds_now();
  const uint64_t before = tally_.generated_tokens;
  passes_.run_groups(steps, only_choices(pieces), [&](size_t group) {
    for (const Piece &piece : pieces)
      if (piece.group == group) finish(piece);
  });
  const double finished = seconds_now();
  const size_t columns = columns_of(steps);
  columns_ += columns;
  tally_.passes++;
  tally_.columns += columns;
  pace_.passed(columns, finished - proposed);
  const PassShare passed = {texts, columns - texts};
  shares_.passed(passed, finished - proposed);
  if (texts > 0) written_ = finished;
  if (writes && foreseen == 0) pace_.finish_round(size_t(tally_.generated_tokens - before), finished - start);
  populate_ahead(passed, finished - proposed);
}

bool Batch::only_choices(const std::vector<Piece> &pieces) {
  return std::all_of(pieces.begin(), pieces.end(), [](const Piece &piece) {
    const BatchText &text = *piece.text;
    const bool told = text.scores() || text.request.log_probabilities;
    return text.chooser.takes_largest() && !told && !text.request.constrained;
  });
}

std::vector<gsic_step> Batch::make_steps(std::vector<Piece> &pieces) {
  std::vector<gsic_step> steps(1);
  std::vector<Piece> cut;
  for (const Piece &whole : pieces) {
    BatchText &text = *whole.text;
    for (size_t done = 0; done < whole.count;) {
      if (steps.back().columns == GSIC_MAX_COLUMNS) steps.emplace_back();
      gsic_step &step = steps.back();
      const size_t column = size_t(step.columns), count = std::min(whole.count - done, GSIC_MAX_COLUMNS - column);
      const size_t position = text.computed + done;
      const bool last = position + count == text.tokens.size();
      const Piece &piece = cut.emplace_back(Piece{&text, count, uint32_t(column), steps.size() - 1});
      add_run(step, text, position, count + (last ? text.proposals.size() : 0), piece.group);
      const size_t first = text.scores() ? 0 : last ? count - 1 : count;
      for (size_t j = column + first; j < size_t(step.columns); j++) step.wanted |= 1u << j;
      done += count;
    }
  }
  pieces = std::move(cut);
  return steps;
}

void Batch::add_run(gsic_step &step, BatchText &text, size_t position, size_t count, size_t group) {
  const int32_t first = step.columns, table = passes_.layout().index(table_of(text), group);
  for (size_t at = position; at < position + count; at++) {
    const size_t length = text.tokens.size();
    const int32_t token = at < length ? text.tokens[at] : text.proposals[at - length];
    step.column[step.columns++] = {token, int32_t(at), first, table};
  }
}

size_t Batch::table_of(BatchText &text) {
  const auto stands = [&](const Table &table) { return table.version == text.version; };
  auto found = std::find_if(tables_.begin(), tables_.end(), stands);
  if (found == tables_.end()) {
    found = std::min_element(tables_.begin(), tables_.end(),
                             [](const Table &a, const Table &b) { return a.pass < b.pass; });
    *found = {text.version, 0, 0};
  }
  found->pass = pass_;
  const auto table = size_t(found - tables_.begin());
  std::vector<int64_t> places;
  for (size_t i = found->written; i < text.blocks.size(); i++) places.push_back(text.blocks[i]->place);
  if (!places.empty()) passes_.write_table(table, found->written, places.data(), places.size());
  found->written = text.blocks.size();
  return table;
}

void Batch::record(BatchText &text, size_t count) {
  for (; count > 0; count--, text.computed++)
    text.blocks[text.computed / pool_.positions()]->tokens.push_back(text.tokens[text.computed]);
}

void Batch::finish(const Piece &piece) {
  BatchText &text = *piece.text;
  if (text.ended) return;  // with its piece in the group before
  const size_t first = text.computed;
  record(text, piece.count);
  if (text.produced == 0) tally_.prompt_tokens += piece.count;
  try {
    if (text.scores()) score(piece, first);
    if (text.ended || text.computed < text.tokens.size()) return;
    write(piece);
  } catch (const Error &error) {
    if (error.status() != GSIC_INTERNAL) throw;
    end(text, GSIC_END_FAILED, error.status(), error.what());
  }
}

void Batch::score(const Piece &piece, size_t first) {
  BatchText &text = *piece.text;
  const std::vector<int32_t> &prompt = text.request.prompt;
  while (text.scores() && text.scored <= first + piece.count) {
    BatchEvent event{text.ticket, GSIC_END_NONE, prompt[text.scored]};
    event.of_prompt = true;
    event.log_probability = NAN;
    if (text.scored > 0) tell(text, uint32_t(piece.column + text.scored - 1 - first), text.scored, event);
    text.scored++;
    if (!text.request.visit(event)) return end(text, GSIC_END_CANCELLED);
  }
}

void Batch::write(const Piece &piece) {
  BatchText &text = *piece.text;
  // A prompt that was only scored.
  if (text.request.limit == 0) return end(text, GSIC_END_LIMIT);
  if (text.tokens.size() == model().manifest().context) return end(text, GSIC_END_CONTEXT);
  size_t accepted = 0;
  text.proposed += text.proposals.size();
  for (bool more = true; more;) {
    const auto column = uint32_t(piece.column + piece.count - 1 + accepted);
    const size_t position = text.tokens.size();
    const uint32_t *const mask = text.request.constrained ? text.allowed.mask(accepted) : nullptr;
    const int32_t id = pick(text, passes_.main(), column, Past(text.tokens, position), mask).id;
    const bool proposed = accepted < text.proposals.size() && text.proposals[accepted] == id;
    if (proposed) text.accepted++;
    BatchEvent event{text.ticket, GSIC_END_NONE, id};
    event.asks = text.request.constrained && !proposed;
    if (text.request.log_probabilities) tell(text, column, position, event);
    more = append(text, std::move(event)) && proposed;
    if (proposed) accepted++;
    if (more) record(text, 1);
  }
  learn(text, accepted);
}

Choice Batch::pick(BatchText &text, const Runnable &runnable, uint32_t column, const Past &past, const uint32_t *mask) {
  const size_t position = past.length() - 1;
  const bool largest = text.chooser.takes_largest() && mask == nullptr && !text.request.log_probabilities;
  if (largest && !passes_.logits_are_near()) return {passes_.choice(runnable, column, position), NAN};
  return text.chooser.pick(passes_.logits(runnable, column, position), past, mask);
}

void Batch::tell(const BatchText &text, uint32_t column, size_t position, BatchEvent &event) {
  const Likelihood likelihood(passes_.logits(passes_.main(), column, position - 1), model().manifest().vocabulary);
  event.log_probability = likelihood.of(event.id);
  event.alternatives.resize(std::min<size_t>(text.request.alternatives, model().manifest().vocabulary));
  likelihood.top(event.alternatives.data(), event.alternatives.size());
}

bool Batch::append(BatchText &text, BatchEvent event) {
  const std::vector<int32_t> &stop = text.request.stop;
  const int32_t id = event.id;
  if (id == model().end_of_text() || std::find(stop.begin(), stop.end(), id) != stop.end()) {
    event.end = GSIC_END_OF_TEXT;
    end(text, std::move(event));
    return false;
  }
  text.tokens.push_back(id);
  text.produced++;
  text.unread++;
  tally_.generated_tokens++;
  const bool full = text.tokens.size() == model().manifest().context;
  event.asks = event.asks && text.produced < text.request.limit && !full;
  const Tokenizer *tokenizer = model().tokenizer();
  if (tokenizer != nullptr && !tokenizer->is_special(id)) event.text = text.utf8.push(tokenizer->bytes(id));
  if (!text.request.visit(event))
    end(text, GSIC_END_CANCELLED);
  else if (text.produced == text.request.limit)
    end(text, GSIC_END_LIMIT);
  else if (full)
    end(text, GSIC_END_CONTEXT);
  return !text.ended;
}

void Batch::end(BatchText &text, gsic_end why, gsic_status status, const std::string &reason) {
  BatchEvent event{text.ticket, why};
  event.status = status;
  event.reason = reason;
  end(text, std::move(event));
}

void Batch::end(BatchText &text, BatchEvent event) {
  event.proposed = text.proposed;
  event.accepted = text.accepted;
  text.ended = true;
  detach(text);
  text.request.visit(event);
}

}  // namespace gsic
