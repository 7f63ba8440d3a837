// Logits, rewinding, limits, modes, and calls that must be refused.
#include <cstring>

#include "check.h"

void check_logits(gsic_model *model) {
  const std::vector<int32_t> ids = some_ids(40, 1);
  const std::vector<float> expected = expected_logits(ids);
  for (const size_t chunk : {size_t(1), size_t(3), size_t(16), size_t(17), size_t(40)}) {
    gsic_session *session = open_session(model, nullptr);
    for (size_t done = 0; done < ids.size(); done += chunk) {
      const size_t part = std::min(chunk, ids.size() - done), wanted = (part + 1) / 2;
      std::vector<float> logits(wanted * kVocabulary);
      CHECK(gsic_evaluate(session, ids.data() + done, part, logits.data(), wanted) == GSIC_OK);
      CHECK(std::memcmp(logits.data(), expected.data() + (done + part - wanted) * kVocabulary,
                        logits.size() * sizeof(float)) == 0);
    }
    uint64_t closed = 0, open = 0;
    CHECK(gsic_gate_counts(session, &closed, &open) == GSIC_OK && closed == ids.size() && open == 0);
    gsic_session_close(session);
  }
}

/// Logits are the same for every number of threads.
void check_results(const char *bundle) {
  for (const uint32_t threads : {1u, 2u, 5u}) {
    gsic_model *model = open_model(bundle, threads);
    gsic_model_info info = {};
    CHECK(gsic_describe(model, &info) == GSIC_OK && info.threads == threads && info.vocabulary == kVocabulary);
    CHECK(std::string(info.modes) == "bounded,exact" && std::string(info.target) == "cpu-portable");
    CHECK(info.context == kContext && info.has_tokenizer == 0 && info.end_of_text == -1);
    check_logits(model);
    gsic_close(model);
  }
}

namespace {

void check_rewind(gsic_model *model) {
  gsic_session *session = open_session(model, "exact");
  std::vector<int32_t> ids = some_ids(20, 2);
  CHECK(gsic_evaluate(session, ids.data(), ids.size(), nullptr, 0) == GSIC_OK);
  CHECK(gsic_session_length(session) == 20);
  CHECK(gsic_session_rewind(session, 21) == GSIC_INVALID_ARGUMENT);
  CHECK(gsic_session_rewind(session, 5) == GSIC_OK && gsic_session_length(session) == 5);
  ids.resize(5);
  const std::vector<int32_t> more = some_ids(7, 3);
  ids.insert(ids.end(), more.begin(), more.end());
  std::vector<float> logits(kVocabulary);
  CHECK(gsic_evaluate(session, more.data(), more.size(), logits.data(), 1) == GSIC_OK);
  CHECK(std::memcmp(logits.data(), expected_logits(ids).data() + 11 * kVocabulary, kVocabulary * 4) == 0);
  CHECK(gsic_session_rewind(session, 0) == GSIC_OK && gsic_session_length(session) == 0);
  gsic_session_close(session);
}

void check_refusals(gsic_model *model) {
  gsic_session *session = open_session(model, nullptr);
  const std::vector<int32_t> full = some_ids(kContext, 4);
  CHECK(gsic_evaluate(session, full.data(), 60, nullptr, 0) == GSIC_OK);
  CHECK(gsic_evaluate(session, full.data(), 5, nullptr, 0) == GSIC_CONTEXT_FULL);
  CHECK(std::string(gsic_last_error()).find("60 of 64") != std::string::npos);
  CHECK(gsic_evaluate(session, full.data(), 4, nullptr, 0) == GSIC_OK && gsic_session_length(session) == 64);
  CHECK(gsic_evaluate(session, full.data(), 0, nullptr, 0) == GSIC_OK);
  CHECK(gsic_session_rewind(session, 0) == GSIC_OK);
  for (const int32_t bad : {-1, kVocabulary}) {
    const int32_t ids[] = {1, bad};
    CHECK(gsic_evaluate(session, ids, 2, nullptr, 0) == GSIC_INVALID_ARGUMENT);
    CHECK(std::string(gsic_last_error()).find(std::to_string(bad)) != std::string::npos);
    CHECK(gsic_session_length(session) == 0);
  }
  // A length that nobody has memory for is refused before any is asked for.
  CHECK(gsic_generate(session, full.data(), SIZE_MAX / 8, 1, nullptr, nullptr, nullptr, nullptr, nullptr) ==
        GSIC_CONTEXT_FULL);
  CHECK(gsic_evaluate(session, full.data(), SIZE_MAX / 8, nullptr, 0) == GSIC_CONTEXT_FULL);
  float logits[kVocabulary];
  CHECK(gsic_evaluate(session, full.data(), 1, logits, 2) == GSIC_INVALID_ARGUMENT);
  CHECK(gsic_evaluate(session, nullptr, 1, nullptr, 0) == GSIC_INVALID_ARGUMENT);
  CHECK(gsic_evaluate(nullptr, nullptr, 0, nullptr, 0) == GSIC_INVALID_ARGUMENT);
  CHECK(gsic_session_length(nullptr) == 0);
  gsic_session_close(session);
  session = nullptr;
  CHECK(gsic_session_open(model, "lossy", &session) == GSIC_INVALID_ARGUMENT && session == nullptr);
  size_t count = 0;
  CHECK(gsic_encode(model, "a", 1, 0, nullptr, &count) == GSIC_NO_TOKENIZER);
  gsic_session_close(nullptr);
  gsic_close(nullptr);
}

}  // namespace

void check_calls(gsic_model *model) {
  check_rewind(model);
  check_refusals(model);
}

void check_sessions(const char *bundle) {
  gsic_model *model = open_model(bundle, 2);
  check_calls(model);
  // A session keeps what it needs alive, in whatever order handles are closed.
  gsic_session *session = open_session(model, nullptr);
  gsic_close(model);
  const int32_t id = 3;
  CHECK(gsic_evaluate(session, &id, 1, nullptr, 0) == GSIC_OK);
  gsic_session_close(session);
  gsic_open_options options = {};
  options.target = "cpu-impossible";
  CHECK(gsic_open(bundle, &options, &model) == GSIC_NO_DEVICE && model == nullptr);
  CHECK(std::string(gsic_last_error()).find("no-such-feature") != std::string::npos);
  CHECK(gsic_open(nullptr, nullptr, &model) == GSIC_INVALID_ARGUMENT);
}
