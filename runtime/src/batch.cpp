#include "batch.h"

#include <unistd.h>

#include <algorithm>

#include "error.h"
#include "token_ids.h"

namespace gsic {
namespace {

/// Contexts that the cache has room for where nobody says how much.
constexpr uint64_t kContexts = 16;
/// A prompt that came so many columns later is due one column later.
constexpr uint64_t kColumnsPerTurn = 4;

bool has_memory(Device &device, uint64_t bytes) {
  try {
    device.require_memory(bytes, "the KV cache of a batch");
    return true;
  } catch (const Error &error) {
    if (error.status() == GSIC_OUT_OF_MEMORY) return false;
    throw;
  }
}

}  // namespace

Batch::Turn::Turn(std::mutex &mutex, bool &running) : mutex_(mutex), running_(running) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (running_) throw Error(GSIC_BUSY, "another thread runs this batch", "let one thread run it");
  running_ = true;
}

Batch::Turn::~Turn() {
  const std::lock_guard<std::mutex> lock(mutex_);
  running_ = false;
}

Batch::Batch(std::shared_ptr<const Model> model, const BatchOptions &options)
    : passes_(model, options.mode, GSIC_MAX_COLUMNS * model->device().groups(), blocks_of(*model, options), "batch"),
      pool_(passes_.cache_blocks(), model->manifest().cache_block, int64_t(passes_.block_bytes() / sizeof(float))),
      tables_(passes_.most_columns()) {}

size_t Batch::blocks_of(const Model &model, const BatchOptions &options) {
  const Manifest &manifest = model.manifest();
  const uint64_t bytes = options.cache_bytes, block = model.programs(options.mode).cache_bytes();
  const uint64_t least = manifest.blocks(manifest.context);
  if (bytes == 0) {
    const uint64_t memory = uint64_t(sysconf(_SC_PHYS_PAGES)) * uint64_t(sysconf(_SC_PAGESIZE));
    uint64_t blocks = std::max(least, std::min(kContexts * least, memory / 4 / block));
    while (blocks > least && !has_memory(model.device(), 2 * blocks * block)) blocks = std::max(least, blocks / 2);
    return blocks;
  }
  if (bytes / block < least)
    throw Error(GSIC_INVALID_ARGUMENT,
                std::to_string(bytes) + " bytes hold no context of " + std::to_string(manifest.context) + " tokens",
                "give the cache " + std::to_string(least * block) + " bytes or more");
  return bytes / block;
}

uint64_t Batch::submit(BatchRequest request) {
  const Manifest &manifest = model().manifest();
  if (request.prompt.empty())
    throw Error(GSIC_INVALID_ARGUMENT, "the prompt is empty: give at least one token to continue from");
  require_room(request.prompt.size(), 0, manifest.context);
  require_ids(request.prompt.data(), request.prompt.size(), manifest.vocabulary);
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto text = std::make_shared<BatchText>(++tickets_, std::move(request), manifest.vocabulary);
  inbox_.push_back(text);
  texts_[text->ticket] = text;
  changed_.notify_all();
  return text->ticket;
}

void Batch::cancel(uint64_t ticket) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = texts_.find(ticket);
  if (found == texts_.end()) return;
  found->second->cancelled = true;
  changed_.notify_all();
}

void Batch::taken(uint64_t ticket, size_t tokens) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = texts_.find(ticket);
  if (found == texts_.end()) return;
  std::atomic<size_t> &unread = found->second->unread;
  // Only this function makes it less, under the lock.
  unread -= std::min<size_t>(tokens, unread);
  changed_.notify_all();
}

void Batch::allow(uint64_t ticket, const gsic_allowed &given) {
  Allowed allowed(given, model().manifest().vocabulary);
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = texts_.find(ticket);
  if (found == texts_.end()) return;
  found->second->answer = std::move(allowed);
  changed_.notify_all();
}

void Batch::take_answers() {
  for (const Text &text : active_) {
    if (!text->answer) continue;
    text->allowed = *std::move(text->answer);
    text->answer.reset();
  }
}

bool Batch::has_work() const {
  return std::any_of(active_.begin(), active_.end(),
                     [](const Text &text) { return text->cancelled || !text->waits(); });
}

void Batch::collect(std::chrono::milliseconds wait) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto ready = [&] {
    take_answers();
    return !inbox_.empty() || has_work();
  };
  if (!ready()) changed_.wait_for(lock, wait, ready);
  for (Text &text : inbox_) {
    text->due = columns_ / kColumnsPerTurn + text->request.prompt.size();
    active_.push_back(std::move(text));
  }
  inbox_.clear();
  take_answers();
}

void Batch::end_cancelled() {
  const size_t context = model().manifest().context;
  for (const Text &text : active_) {
    if (text->cancelled)
      end(*text, GSIC_END_CANCELLED);
    else if (text->scores())
      continue;
    else if (text->request.limit == 0)
      end(*text, GSIC_END_LIMIT);
    else if (text->tokens.size() == context)
      end(*text, GSIC_END_CONTEXT);
  }
  settle();
}

void Batch::settle() {
  const auto ended = [](const Text &text) { return text->ended; };
  gsic_batch_counts now = tally_;
  now.reading = now.writing = now.paused = 0;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Text &text : active_)
    if (text->ended) texts_.erase(text->ticket);
  active_.erase(std::remove_if(active_.begin(), active_.end(), ended), active_.end());
  for (const Text &text : active_) (text->waits() ? now.paused : text->writes() ? now.writing : now.reading)++;
  now.blocks = pool_.size();
  now.blocks_held = pool_.held();
  now.blocks_kept = pool_.kept();
  now.blocks_evicted = pool_.evicted();
  counts_ = now;
}

void Batch::run(std::chrono::milliseconds wait) {
  const Turn turn(mutex_, running_);
  collect(wait);
  end_cancelled();
  if (!has_work()) return;
  try {
    run_pass();
  } catch (const Error &error) {
    for (const Text &text : active_)
      if (!text->ended) end(*text, GSIC_END_FAILED, error.status(), error.what());
    settle();
    throw;
  }
  settle();
}

gsic_batch_counts Batch::counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  gsic_batch_counts now = counts_;
  now.waiting = inbox_.size();
  return now;
}

}  // namespace gsic
