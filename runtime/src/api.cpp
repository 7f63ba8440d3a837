// The C ABI over the classes: models, sessions and text.
#include <algorithm>
#include <atomic>
#include <memory>

#include "api_guard.h"
#include "generate.h"
#include "session.h"
#include "token_ids.h"

namespace gsic {
namespace {

/// A session, and whether a call on it is running. Calls share it, so that closing a handle ends nothing early.
struct SessionState {
  SessionState(std::shared_ptr<const Model> model, const char *mode)
      : session(std::move(model), mode != nullptr ? mode : "") {}
  Session session;
  std::atomic<bool> busy{false};
};

/// Holds a session for the length of a call. Throws GSIC_BUSY.
class Claim {
 public:
  explicit Claim(std::shared_ptr<SessionState> state) : state_(std::move(state)) {
    if (state_->busy.exchange(true, std::memory_order_acquire))
      throw Error(GSIC_BUSY, "another call on this session is still running", "use one session per thread");
  }
  ~Claim() { state_->busy.store(false, std::memory_order_release); }
  Claim(const Claim &) = delete;
  Claim &operator=(const Claim &) = delete;
  Session *operator->() const { return &state_->session; }
  Session &operator*() const { return state_->session; }

 private:
  std::shared_ptr<SessionState> state_;
};

}  // namespace
}  // namespace gsic

struct gsic_session {
  std::shared_ptr<gsic::SessionState> state;
};

using namespace gsic;

uint32_t gsic_abi_version(void) { return GSIC_ABI_VERSION; }

const char *gsic_last_error(void) { return last_error().c_str(); }

gsic_status gsic_open(const char *path, const gsic_open_options *options, gsic_model **model) {
  return guard([&] {
    require(path != nullptr && model != nullptr, "gsic_open: path and model must not be null");
    *model = nullptr;
    OpenOptions chosen;
    if (options != nullptr) {
      chosen.threads = options->threads;
      if (options->target != nullptr) chosen.target = options->target;
      chosen.verify_weights = options->skip_verification == 0;
      chosen.device = options->device;
    }
    *model = new gsic_model{std::make_shared<const Model>(path, chosen)};
    return GSIC_OK;
  });
}

void gsic_close(gsic_model *model) { delete model; }

gsic_status gsic_describe(const gsic_model *model, gsic_model_info *info) {
  return guard([&] {
    require(model != nullptr && info != nullptr, "gsic_describe: model and info must not be null");
    const Model &opened = *model->model;
    const Manifest &manifest = opened.manifest();
    *info = {};
    info->name = manifest.name.c_str();
    info->family = manifest.family.c_str();
    info->target = opened.target().name.c_str();
    info->modes = opened.mode_list().c_str();
    info->vocabulary = manifest.vocabulary;
    info->context = manifest.context;
    info->threads = opened.device().threads();
    info->has_tokenizer = opened.tokenizer() != nullptr;
    info->end_of_text = opened.end_of_text();
    const auto exact = manifest.programs.find("exact");
    const Tap *hidden = exact != manifest.programs.end() ? exact->second.hidden() : nullptr;
    info->hidden = hidden != nullptr ? hidden->width : 0;
    return GSIC_OK;
  });
}

gsic_status gsic_session_open(gsic_model *model, const char *mode, gsic_session **session) {
  return guard([&] {
    require(model != nullptr && session != nullptr, "gsic_session_open: model and session must not be null");
    *session = nullptr;
    *session = new gsic_session{std::make_shared<SessionState>(model->model, mode)};
    return GSIC_OK;
  });
}

void gsic_session_close(gsic_session *session) { delete session; }

gsic_status gsic_session_rewind(gsic_session *session, size_t length) {
  return guard([&] {
    require(session != nullptr, "gsic_session_rewind: session must not be null");
    Claim(session->state)->rewind(length);
    return GSIC_OK;
  });
}

size_t gsic_session_length(const gsic_session *session) {
  return session != nullptr ? session->state->session.length() : 0;
}

gsic_status gsic_evaluate(gsic_session *session, const int32_t *ids, size_t count, float *logits, size_t wanted) {
  return guard([&] {
    require(session != nullptr, "gsic_evaluate: session must not be null");
    require(ids != nullptr || count == 0, "gsic_evaluate: ids must not be null");
    require(logits == nullptr || wanted <= count, "gsic_evaluate: more logits are wanted than there are tokens");
    const Claim claim(session->state);
    const size_t vocabulary = claim->model().manifest().vocabulary;
    claim->evaluate(ids, count, logits != nullptr ? wanted : 0,
                    [&](size_t index, const float *row) { std::copy_n(row, vocabulary, logits + index * vocabulary); });
    return GSIC_OK;
  });
}

gsic_status gsic_hidden(gsic_session *session, const int32_t *ids, size_t count, float *states) {
  return guard([&] {
    require(session != nullptr, "gsic_hidden: session must not be null");
    require((ids != nullptr && states != nullptr) || count == 0, "gsic_hidden: ids and states must not be null");
    const Claim claim(session->state);
    const Tap *hidden = claim->program().hidden();
    require(hidden != nullptr,
            "gsic_hidden: this mode keeps no hidden states, nor does a GPU; use mode exact on a CPU");
    // A token that waits would count as one of them.
    claim->evaluate(nullptr, 0, 0, {});
    const auto index = size_t(hidden - claim->program().taps.data());
    claim->observe(ids, count, index, index + 1, [&](size_t, const float *rows, uint32_t columns) {
      for (uint32_t j = 0; j < columns; j++, states += hidden->width)
        std::copy_n(rows + size_t(j) * hidden->stride, hidden->width, states);
    });
    return GSIC_OK;
  });
}

gsic_status gsic_generate(gsic_session *session, const int32_t *prompt, size_t prompt_count, size_t limit,
                          const gsic_sampling *sampling, gsic_token_callback callback, void *user, int32_t *ids,
                          size_t *produced) {
  if (produced != nullptr) *produced = 0;
  return guard([&] {
    require(session != nullptr, "gsic_generate: session must not be null");
    require(prompt != nullptr || prompt_count == 0, "gsic_generate: prompt must not be null");
    const Claim claim(session->state);
    // Before the prompt is copied: its length is the caller's word.
    require_room(prompt_count, claim->length(), claim->model().manifest().context);
    Chooser chooser(sampling != nullptr ? *sampling : gsic_sampling{}, claim->model().manifest().vocabulary);
    size_t count = 0;
    const auto show = [&](int32_t id, const std::string &text) {
      if (ids != nullptr) ids[count] = id;
      count++;
      if (produced != nullptr) *produced = count;
      return callback == nullptr || callback(id, text.c_str(), text.size(), user) == 0;
    };
    const std::vector<int32_t> tokens(prompt, prompt + prompt_count);
    if (generate(*claim, tokens, limit, chooser, show) != End::stopped) return GSIC_OK;
    return report(GSIC_CANCELLED, "the callback asked to stop");
  });
}

gsic_status gsic_gate_counts(const gsic_session *session, uint64_t *closed, uint64_t *open) {
  return guard([&] {
    require(session != nullptr && closed != nullptr && open != nullptr,
            "gsic_gate_counts: session, closed and open must not be null");
    const Claim claim(session->state);
    *closed = *open = 0;
    for (size_t i = 0; i < claim->gates().size(); i++) {
      const auto [closed_here, open_here] = claim->gate_counts(i);
      *closed += closed_here;
      *open += open_here;
    }
    return GSIC_OK;
  });
}

gsic_status gsic_drafts(const gsic_session *session, gsic_draft_counts *counts) {
  return guard([&] {
    require(session != nullptr && counts != nullptr, "gsic_drafts: session and counts must not be null");
    const DraftCounts &found = Claim(session->state)->draft_policy().counts();
    *counts = {found.passes, found.proposed, found.accepted, found.looked_up};
    return GSIC_OK;
  });
}
