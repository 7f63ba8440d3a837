// A pass of a batch, and what comes of it.
#include <algorithm>
#include <cmath>

#include "batch.h"
#include "clock.h"
#include "error.h"
#include "scan.h"

namespace gsic {
namespace {

/// log softmax(logits)[id]
float log_probability_of(const float *logits, size_t count, int32_t id) {
  const float most = top_two(logits, count).first;
  return float(double(logits[id]) - most - std::log(sum_of_weights(logits, count, most, 1)));
}

}  // namespace

void Batch::run_pass() {
  pass_++;
  const double start = seconds_now();
  std::vector<Piece> pieces = choose();
  if (pieces.empty()) return;
  const bool writes =
      std::all_of(pieces.begin(), pieces.end(), [](const Piece &piece) { return piece.text->writes(); });
  if (passes_.drafts() && writes) propose(pieces);
  const gsic_step step = make_step(pieces);
  const double proposed = seconds_now();
  const uint64_t before = tally_.generated_tokens;
  passes_.run(passes_.main(), step);
  for (const Piece &piece : pieces) finish(piece);
  const double finished = seconds_now();
  columns_ += uint64_t(step.columns);
  tally_.passes++;
  tally_.columns += uint64_t(step.columns);
  pace_.passed(size_t(step.columns), finished - proposed);
  if (writes) pace_.finish_round(size_t(tally_.generated_tokens - before), finished - start);
}

gsic_step Batch::make_step(std::vector<Piece> &pieces) {
  gsic_step step = {};
  for (Piece &piece : pieces) {
    const BatchText &text = *piece.text;
    piece.column = uint32_t(step.columns);
    add_run(step, *piece.text, text.computed, piece.count + text.proposals.size());
    const bool last = text.computed + piece.count == text.tokens.size();
    for (uint32_t j = uint32_t(piece.column + piece.count - 1); last && j < uint32_t(step.columns); j++)
      step.wanted |= 1u << j;
  }
  return step;
}

void Batch::add_run(gsic_step &step, BatchText &text, size_t position, size_t count) {
  const int32_t first = step.columns, table = passes_.layout().index(table_of(text));
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
  record(text, piece.count);
  if (text.produced == 0) tally_.prompt_tokens += piece.count;
  if (text.computed < text.tokens.size()) return;
  size_t accepted = 0;
  try {
    for (;; accepted++, record(text, 1)) {
      float log_probability = 0;
      const auto column = uint32_t(piece.column + piece.count - 1 + accepted);
      const int32_t id = pick(text, passes_.main(), column, text.tokens.size(), &log_probability).id;
      const bool proposed = accepted < text.proposals.size() && text.proposals[accepted] == id;
      if (!append(text, id, log_probability) || !proposed) break;
    }
  } catch (const Error &error) {
    if (error.status() != GSIC_INTERNAL) throw;
    end(text, GSIC_END_FAILED, error.status(), error.what());
  }
  learn(text, accepted);
}

Choice Batch::pick(BatchText &text, const Runnable &runnable, uint32_t column, size_t position,
                   float *log_probability) {
  const size_t vocabulary = model().manifest().vocabulary;
  const bool wanted = log_probability != nullptr && text.request.log_probabilities;
  if (text.sampler.is_greedy() && !passes_.logits_are_near() && !wanted)
    return {passes_.choice(runnable, column, position - 1), NAN};
  const float *logits = passes_.logits(runnable, column, position - 1);
  const Choice choice = text.sampler.pick(logits, vocabulary, position);
  if (wanted) *log_probability = log_probability_of(logits, vocabulary, choice.id);
  return choice;
}

bool Batch::append(BatchText &text, int32_t id, float log_probability) {
  const std::vector<int32_t> &stop = text.request.stop;
  if (id == model().end_of_text() || std::find(stop.begin(), stop.end(), id) != stop.end()) {
    end(text, GSIC_END_OF_TEXT);
    return false;
  }
  text.tokens.push_back(id);
  text.produced++;
  text.unread++;
  tally_.generated_tokens++;
  BatchEvent event{text.ticket, GSIC_END_NONE, id, {}, log_probability};
  const Tokenizer *tokenizer = model().tokenizer();
  if (tokenizer != nullptr && !tokenizer->is_special(id)) event.text = text.utf8.push(tokenizer->bytes(id));
  if (!text.request.visit(event))
    end(text, GSIC_END_CANCELLED);
  else if (text.produced == text.request.limit)
    end(text, GSIC_END_LIMIT);
  else if (text.tokens.size() == model().manifest().context)
    end(text, GSIC_END_CONTEXT);
  return !text.ended;
}

void Batch::end(BatchText &text, gsic_end why, gsic_status status, const std::string &reason) {
  text.ended = true;
  detach(text);
  BatchEvent event{text.ticket, why};
  event.status = status;
  event.reason = reason;
  text.request.visit(event);
}

}  // namespace gsic
