// The C ABI over `Batch`.
#include "api_guard.h"
#include "batch.h"
#include "token_ids.h"

using namespace gsic;

struct gsic_batch {
  Batch batch;
  uint32_t context;
};

namespace {

/// What a request's callback is called by.
BatchVisitor visitor_of(gsic_event_callback callback, void *user) {
  return [callback, user](const BatchEvent &event) {
    const std::string &text = event.end == GSIC_END_FAILED ? event.reason : event.text;
    gsic_event shown = {};
    shown.ticket = event.ticket;
    shown.end = event.end;
    shown.status = event.status;
    shown.id = event.id;
    shown.of_prompt = event.of_prompt;
    shown.log_probability = event.log_probability;
    shown.alternatives = event.alternatives.data();
    shown.alternative_count = event.alternatives.size();
    shown.text = text.c_str();
    shown.text_bytes = text.size();
    shown.proposed_tokens = event.proposed;
    shown.accepted_tokens = event.accepted;
    shown.asks = event.asks;
    return callback(&shown, user) == 0;
  };
}

}  // namespace

gsic_status gsic_batch_open(gsic_model *model, const gsic_batch_options *options, gsic_batch **batch) {
  return guard([&] {
    require(model != nullptr && batch != nullptr, "gsic_batch_open: model and batch must not be null");
    *batch = nullptr;
    BatchOptions chosen;
    if (options != nullptr && options->mode != nullptr) chosen.mode = options->mode;
    if (options != nullptr) chosen.cache_bytes = options->cache_bytes;
    *batch = new gsic_batch{{model->model, chosen}, model->model->manifest().context};
    return GSIC_OK;
  });
}

void gsic_batch_close(gsic_batch *batch) { delete batch; }

gsic_status gsic_batch_submit(gsic_batch *batch, const gsic_request *request, uint64_t *ticket) {
  return guard([&] {
    require(batch != nullptr && request != nullptr && ticket != nullptr,
            "gsic_batch_submit: batch, request and ticket must not be null");
    require(request->callback != nullptr, "gsic_batch_submit: callback must not be null");
    require(request->prompt != nullptr || request->prompt_count == 0, "gsic_batch_submit: prompt must not be null");
    require(request->stop_ids != nullptr || request->stop_count == 0, "gsic_batch_submit: stop_ids must not be null");
    // Before the prompt is copied: its length is the caller's word.
    require_room(request->prompt_count, 0, batch->context);
    BatchRequest asked;
    asked.prompt.assign(request->prompt, request->prompt + request->prompt_count);
    asked.limit = request->limit;
    asked.sampling = request->sampling;
    asked.stop.assign(request->stop_ids, request->stop_ids + request->stop_count);
    asked.window = request->window;
    asked.log_probabilities = request->log_probabilities != 0;
    asked.alternatives = asked.log_probabilities ? request->alternatives : 0;
    asked.score_prompt = asked.log_probabilities && request->score_prompt != 0;
    asked.constrained = request->constrained != 0;
    asked.visit = visitor_of(request->callback, request->user);
    *ticket = batch->batch.submit(std::move(asked));
    return GSIC_OK;
  });
}

gsic_status gsic_batch_cancel(gsic_batch *batch, uint64_t ticket) {
  return guard([&] {
    require(batch != nullptr, "gsic_batch_cancel: batch must not be null");
    batch->batch.cancel(ticket);
    return GSIC_OK;
  });
}

gsic_status gsic_batch_allow(gsic_batch *batch, uint64_t ticket, const gsic_allowed *allowed) {
  return guard([&] {
    require(batch != nullptr && allowed != nullptr, "gsic_batch_allow: batch and allowed must not be null");
    batch->batch.allow(ticket, *allowed);
    return GSIC_OK;
  });
}

gsic_status gsic_batch_taken(gsic_batch *batch, uint64_t ticket, size_t tokens) {
  return guard([&] {
    require(batch != nullptr, "gsic_batch_taken: batch must not be null");
    batch->batch.taken(ticket, tokens);
    return GSIC_OK;
  });
}

gsic_status gsic_batch_run(gsic_batch *batch, uint32_t wait_ms) {
  return guard([&] {
    require(batch != nullptr, "gsic_batch_run: batch must not be null");
    batch->batch.run(std::chrono::milliseconds(wait_ms));
    return GSIC_OK;
  });
}

gsic_status gsic_batch_save_cache(gsic_batch *batch, const char *path, uint64_t *tokens) {
  return guard([&] {
    require(batch != nullptr && path != nullptr, "gsic_batch_save_cache: batch and path must not be null");
    const uint64_t saved = batch->batch.save_cache(path);
    if (tokens != nullptr) *tokens = saved;
    return GSIC_OK;
  });
}

gsic_status gsic_batch_load_cache(gsic_batch *batch, const char *path, uint64_t *tokens) {
  return guard([&] {
    require(batch != nullptr && path != nullptr, "gsic_batch_load_cache: batch and path must not be null");
    const uint64_t loaded = batch->batch.load_cache(path);
    if (tokens != nullptr) *tokens = loaded;
    return GSIC_OK;
  });
}

gsic_status gsic_batch_count(const gsic_batch *batch, gsic_batch_counts *counts) {
  return guard([&] {
    require(batch != nullptr && counts != nullptr, "gsic_batch_count: batch and counts must not be null");
    *counts = batch->batch.counts();
    return GSIC_OK;
  });
}
