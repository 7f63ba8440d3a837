// A GPU's bundle through the C interface, and what is left when the device fails.
#include <dlfcn.h>

#include <cstring>

#include "check.h"

namespace {

std::vector<int32_t> generate(gsic_session *session, const gsic_sampling *sampling) {
  const std::vector<int32_t> prompt = some_ids(5, 8);
  std::vector<int32_t> ids(30);
  size_t produced = 0;
  CHECK(gsic_session_rewind(session, 0) == GSIC_OK);
  CHECK(gsic_generate(session, prompt.data(), prompt.size(), ids.size(), sampling, nullptr, nullptr, ids.data(),
                      &produced) == GSIC_OK);
  ids.resize(produced);
  return ids;
}

/// Top-k 1 reads logits, and must choose as the kernel does.
void check_choices(gsic_model *model) {
  gsic_session *session = open_session(model, nullptr);
  gsic_sampling sampling = {};
  const std::vector<int32_t> greedy = generate(session, nullptr);
  sampling.temperature = 1;
  sampling.top_k = 1;
  CHECK(greedy.size() == 30 && generate(session, &sampling) == greedy);
  sampling.top_k = 0;
  sampling.seed = 3;
  const std::vector<int32_t> sampled = generate(session, &sampling);
  CHECK(sampled != greedy && generate(session, &sampling) == sampled);
  gsic_session_close(session);
}

/// Two sessions that take turns do not see each other.
void check_two_sessions(gsic_model *model) {
  gsic_session *sessions[] = {open_session(model, "exact"), open_session(model, nullptr)};
  const std::vector<int32_t> ids[] = {some_ids(20, 1), some_ids(20, 2)};
  const std::vector<float> expected[] = {expected_logits(ids[0]), expected_logits(ids[1])};
  for (size_t i = 0; i < 20; i++)
    for (int s = 0; s < 2; s++) {
      float logits[kVocabulary];
      CHECK(gsic_evaluate(sessions[s], &ids[s][i], 1, logits, 1) == GSIC_OK);
      CHECK(std::memcmp(logits, expected[s].data() + i * kVocabulary, sizeof logits) == 0);
    }
  for (gsic_session *session : sessions) gsic_session_close(session);
}

/// Passes without a look at the results, more than wait at once: first of three tokens, then of one. Their steps must
/// not overwrite each other on the way to the device, and every token is counted.
void check_many_passes(gsic_session *session) {
  const std::vector<int32_t> ids = some_ids(kContext, 6);
  uint64_t tokens = 0, closed = 0, open = 0;
  for (int round = 0; round < 60; round++) {
    const size_t columns = round < 30 ? 3 : 1;
    CHECK(gsic_session_rewind(session, 0) == GSIC_OK);
    for (size_t i = 0; i + columns < kContext; i += columns, tokens += columns)
      CHECK(gsic_evaluate(session, &ids[i], columns, nullptr, 0) == GSIC_OK);
  }
  std::vector<float> logits(kVocabulary);
  CHECK(gsic_evaluate(session, &ids[kContext - 1], 1, logits.data(), 1) == GSIC_OK);
  CHECK(std::memcmp(logits.data(), expected_logits(ids).data() + (kContext - 1) * kVocabulary, kVocabulary * 4) == 0);
  CHECK(gsic_gate_counts(session, &closed, &open) == GSIC_OK && closed == tokens + 1 && open == 0);
}

struct Step {
  const char *name;
  gsic_status status;
  std::string message;
};

/// A call that may fail; remembers the first that did.
gsic_status attempt(Step &first, const char *name, gsic_status status) {
  if (status != GSIC_OK && first.status == GSIC_OK) first = {name, status, gsic_last_error()};
  return status;
}

}  // namespace

void check_gpu(const char *bundle, const char *target, uint32_t units) {
  gsic_model *model = open_model(bundle, 3);
  gsic_model_info info = {};
  CHECK(gsic_describe(model, &info) == GSIC_OK && info.threads == units && std::string(info.target) == target);
  check_logits(model);
  check_calls(model);
  check_choices(model);
  check_two_sessions(model);
  gsic_session *session = open_session(model, nullptr);
  check_many_passes(session);
  // A session keeps what it needs alive, in whatever order handles are closed.
  gsic_close(model);
  const int32_t id = 3;
  float logits[kVocabulary];
  CHECK(gsic_session_rewind(session, 0) == GSIC_OK);
  CHECK(gsic_evaluate(session, &id, 1, logits, 1) == GSIC_OK);
  gsic_session_close(session);
}

void print_gpu_run(const char *bundle) {
  Step first = {"done", GSIC_OK, ""};
  // A driver that the program has used before gsic is opened.
  if (const char *loaded = std::getenv("GSIC_CHECK_LOADED")) {
    void *driver = dlopen(loaded, RTLD_NOW | RTLD_LOCAL);
    CHECK(driver != nullptr);
    CHECK(reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "hipInit"))(0) == 0);
  }
  gsic_model *model = nullptr;
  gsic_session *session = nullptr;
  const std::vector<int32_t> ids = some_ids(20, 1);
  std::vector<float> logits(kVocabulary);
  int32_t generated[8];
  size_t produced = 0;
  const auto evaluate = [&] { return gsic_evaluate(session, ids.data(), ids.size(), logits.data(), 1); };
  if (attempt(first, "open", gsic_open(bundle, nullptr, &model)) == GSIC_OK) {
    if (attempt(first, "session", gsic_session_open(model, nullptr, &session)) == GSIC_OK) {
      attempt(first, "evaluate", evaluate());
      attempt(first, "generate",
              gsic_generate(session, ids.data(), 1, 8, nullptr, nullptr, nullptr, generated, &produced));
      // A lost device stays lost, and says why.
      if (first.status == GSIC_DEVICE_LOST) {
        CHECK(evaluate() == GSIC_DEVICE_LOST && std::string(gsic_last_error()).find("earlier") != std::string::npos);
        gsic_session *second = nullptr;
        CHECK(gsic_session_open(model, nullptr, &second) == GSIC_DEVICE_LOST && second == nullptr);
        uint64_t closed = 0, open = 0;
        CHECK(gsic_gate_counts(session, &closed, &open) == GSIC_DEVICE_LOST);
      }
    }
    CHECK((session != nullptr) == (std::string(first.name) != "session"));
  }
  CHECK((model != nullptr) == (std::string(first.name) != "open"));
  std::printf("%d %s %s\n", int(first.status), first.name, first.message.c_str());
  gsic_session_close(session);
  gsic_close(model);
}
