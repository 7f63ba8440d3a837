#include "session.h"

#include <algorithm>
#include <cstring>

#include "error.h"
#include "launch.h"
#include "sampler.h"
#include "scan.h"
#include "token_ids.h"

namespace gsic {

Session::Session(std::shared_ptr<const Model> model, const std::string &mode) : model_(std::move(model)) {
  const ModePrograms programs = model_->programs(mode);
  constexpr Buffer kOwn[] = {Buffer::arena, Buffer::cache, Buffer::step, Buffer::counters};
  Device &device = model_->device();
  uint64_t total = 0;
  for (Buffer which : kOwn) total += model_->manifest().buffer(which);
  device.require_memory(total, "a session, most of it for its KV cache");
  for (Buffer which : kOwn) {
    const std::string what = std::string("the session's ") + kBufferNames[size_t(which)];
    buffers_[size_t(which)] = device.allocate(model_->manifest().buffer(which), what);
  }
  staging_ = device.staging(programs.main->logits_stride * sizeof(float), "a token's logits");
  run_ = prepare(*programs.main);
  if (programs.draft != nullptr) draft_ = prepare(*programs.draft);
}

Runnable Session::prepare(const Program &program) {
  Runnable made;
  made.program = &program;
  const std::vector<ResolvedLaunch> body = resolve(program.body), head = resolve(program.head);
  made.body = model_->device().capture(body);
  made.head = model_->device().capture(head);
  made.launches = body;
  made.launches.insert(made.launches.end(), head.begin(), head.end());
  return made;
}

uint8_t *Session::address(const Argument &argument) const {
  if (argument.buffer == Buffer::weights) return model_->weights(argument.offset);
  return buffers_[size_t(argument.buffer)]->address(argument.offset);
}

std::vector<ResolvedLaunch> Session::resolve(const std::vector<Launch> &launches) {
  size_t total = 0;
  for (const Launch &launch : launches) total += launch.arguments.size();
  std::vector<void *> &flat = arguments_.emplace_back(total);
  std::vector<ResolvedLaunch> resolved;
  void **next = flat.data();
  for (const Launch &launch : launches) {
    resolved.push_back(resolve(launch, next));
    next += launch.arguments.size();
  }
  return resolved;
}

ResolvedLaunch Session::resolve(const Launch &launch, void **arguments) const {
  for (size_t i = 0; i < launch.arguments.size(); i++) arguments[i] = address(launch.arguments[i]);
  return resolve_launch(*model_, launch, arguments);
}

Sequence &Session::part(size_t from, size_t to) {
  std::unique_ptr<Sequence> &found = parts_[{from, to}];
  if (!found) found = model_->device().capture({run_.launches.begin() + long(from), run_.launches.begin() + long(to)});
  return *found;
}

void Session::check(const int32_t *ids, size_t count) const {
  require_room(count, length(), model_->manifest().context);
  require_ids(ids, count, model_->manifest().vocabulary);
}

void Session::write_step(const int32_t *ids, uint32_t columns, size_t position, uint32_t first_logit) {
  gsic_step step = {};
  step.columns = int32_t(columns);
  step.position = int32_t(position);
  step.first_logit = int32_t(first_logit);
  std::copy_n(ids, columns, step.tokens);
  model_->device().write(buffers_[size_t(Buffer::step)]->address(0), &step, sizeof step);
}

const float *Session::read_logits(const Program &program, uint32_t column, size_t position) {
  const uint64_t offset = program.logits_offset + uint64_t(column) * program.logits_stride * sizeof(float);
  const uint32_t vocabulary = model_->manifest().vocabulary;
  const float *logits = static_cast<const float *>(model_->device().read(
      buffers_[size_t(Buffer::arena)]->address(offset), staging_->address(0), vocabulary * sizeof(float)));
  if (!all_finite(logits, vocabulary)) refuse_logits(position + column);
  return logits;
}

int32_t Session::read_choice(const Program &program, uint32_t column, size_t position) {
  if (!program.greedy) return largest(read_logits(program, column, position), model_->manifest().vocabulary).id;
  const uint8_t *source = buffers_[size_t(Buffer::arena)]->address(*program.greedy + column * sizeof(int32_t));
  int32_t id;
  std::memcpy(&id, model_->device().read(source, staging_->address(0), sizeof id), sizeof id);
  if (id < 0) refuse_logits(position + column);
  if (uint32_t(id) >= model_->manifest().vocabulary)
    throw Error(GSIC_INTERNAL,
                "the program chose token " + std::to_string(id) +
                    ", which there is not: a kernel is "
                    "wrong",
                "run `gsic build` again, which checks them");
  return id;
}

void Session::refuse_logits(size_t position) const {
  throw Error(GSIC_INTERNAL,
              "the logits at position " + std::to_string(position) +
                  " are not all finite numbers: the model's weights overflow, or a kernel is "
                  "wrong",
              "run `gsic build` again, which checks both");
}

void Session::evaluate(const int32_t *ids, size_t count, size_t wanted, const LogitsVisitor &visit) {
  append(ids, count, wanted,
         [&](uint32_t column, size_t index) { visit(index, read_logits(*run_.program, column, evaluated_)); });
}

int32_t Session::choose(const int32_t *ids, size_t count) { return choose_each(ids, count, 1).back(); }

std::vector<int32_t> Session::choose_each(const int32_t *ids, size_t count, size_t wanted) {
  std::vector<int32_t> chosen;
  append(ids, count, wanted,
         [&](uint32_t column, size_t) { chosen.push_back(read_choice(*run_.program, column, evaluated_)); });
  return chosen;
}

void Session::append(const int32_t *ids, size_t count, const PassVisitor &pass) {
  check(ids, count);
  const size_t start = evaluated_, length = tokens_.size();
  if (count > 0) tokens_.insert(tokens_.end(), ids, ids + count);
  try {
    while (evaluated_ < tokens_.size()) {
      const uint32_t columns = uint32_t(std::min<size_t>(GSIC_MAX_COLUMNS, tokens_.size() - evaluated_));
      pass(columns);
      evaluated_ += columns;
    }
  } catch (...) {
    evaluated_ = start;
    tokens_.resize(length);
    throw;
  }
}

void Session::append(const int32_t *ids, size_t count, size_t wanted, const ColumnVisitor &visit) {
  const size_t end = tokens_.size() + count, first_wanted = end - std::min(wanted, end - evaluated_);
  append(ids, count, [&](uint32_t columns) {
    const uint32_t first_logit =
        uint32_t(std::clamp<size_t>(first_wanted, evaluated_, evaluated_ + columns) - evaluated_);
    write_step(tokens_.data() + evaluated_, columns, evaluated_, first_logit);
    run_.body->run();
    if (first_logit < columns) run_.head->run();
    for (uint32_t j = first_logit; j < columns; j++) visit(j, evaluated_ + j - first_wanted);
  });
}

int32_t Session::choose_through(Sequence &pass, int32_t id) {
  check(&id, 1);
  write_step(&id, 1, evaluated_, 0);
  pass.run();
  const int32_t chosen = read_choice(*run_.program, 0, evaluated_);
  tokens_.push_back(id);
  evaluated_++;
  return chosen;
}

void Session::append_later(int32_t id) {
  if (evaluated_ < tokens_.size()) evaluate(nullptr, 0, 0, {});
  check(&id, 1);
  tokens_.push_back(id);
}

void Session::run_draft(int32_t id, size_t position) {
  write_step(&id, 1, position, 0);
  draft_.body->run();
  draft_.head->run();
}

void Session::propose(int32_t id, size_t position, const std::function<void(const float *logits)> &visit) {
  run_draft(id, position);
  visit(read_logits(*draft_.program, 0, position));
}

int32_t Session::propose_greedy(int32_t id, size_t position) {
  run_draft(id, position);
  return read_choice(*draft_.program, 0, position);
}

void Session::observe(const int32_t *ids, size_t count, size_t first, size_t last, const TapVisitor &visit) {
  uint32_t widest = 1;
  for (const Tap &tap : run_.program->taps) widest = std::max(widest, tap.stride);
  const auto staging = model_->device().staging(GSIC_MAX_COLUMNS * widest * sizeof(float), "a tap's values");
  append(ids, count, [&](uint32_t columns) {
    write_step(tokens_.data() + evaluated_, columns, evaluated_, columns);
    size_t launched = 0;
    for (size_t i = first; i < last; i++) {
      const Tap &tap = run_.program->taps[i];
      if (tap.after >= launched) {
        part(launched, tap.after + 1).run();
        launched = tap.after + 1;
      }
      const void *rows = model_->device().read(buffers_[size_t(Buffer::arena)]->address(tap.offset),
                                               staging->address(0), size_t(columns) * tap.stride * sizeof(float));
      visit(i, static_cast<const float *>(rows), columns);
    }
  });
}

void Session::rewind(size_t length) {
  if (length > tokens_.size())
    throw Error(GSIC_INVALID_ARGUMENT, "the session cannot keep " + std::to_string(length) + " tokens: it has " +
                                           std::to_string(tokens_.size()));
  tokens_.resize(length);
  evaluated_ = std::min(evaluated_, length);
}

std::pair<uint64_t, uint64_t> Session::gate_counts(size_t index) const {
  uint64_t counts[2];
  const uint8_t *source = buffers_[size_t(Buffer::counters)]->address(index * sizeof counts);
  std::memcpy(counts, model_->device().read(source, staging_->address(0), sizeof counts), sizeof counts);
  return {counts[0], counts[1]};
}

}  // namespace gsic
