// Drafting: the same tokens, distribution, session and cache as without, whatever is proposed.
#include <cmath>
#include <map>

#include "check.h"

namespace {

struct Written {
  std::vector<int32_t> ids;
  std::vector<float> logits;  ///< behind the prompt, what was written and one more token
};

int stop_at(int32_t, const char *, size_t, void *user) { return --*static_cast<int *>(user) == 0; }

/// Generates twice in one session, stopped by the callback after `stop` tokens the second time, and goes on by hand.
Written write(gsic_session *session, const std::vector<int32_t> &prompt, const gsic_sampling &sampling, int stop) {
  Written written;
  int32_t ids[kContext];
  size_t produced = 0;
  CHECK(gsic_session_rewind(session, 0) == GSIC_OK);
  CHECK(gsic_generate(session, prompt.data(), prompt.size(), 17, &sampling, nullptr, nullptr, ids, &produced) ==
        GSIC_OK);
  CHECK(produced == 17 && gsic_session_length(session) == prompt.size() + 17);
  written.ids.assign(ids, ids + produced);
  const int32_t next = 9;
  CHECK(gsic_generate(session, &next, 1, 30, &sampling, stop_at, &stop, ids, &produced) == GSIC_CANCELLED);
  written.ids.insert(written.ids.end(), ids, ids + produced);
  CHECK(gsic_session_length(session) == prompt.size() + 18 + produced);
  written.logits.resize(kVocabulary);
  CHECK(gsic_evaluate(session, &next, 1, written.logits.data(), 1) == GSIC_OK);
  return written;
}

void check_same_text(gsic_session *exact, gsic_session *lossless) {
  for (int seed = 0; seed < 60; seed++) {
    gsic_sampling sampling = {};
    sampling.temperature = float(seed % 3) * 0.4f;
    sampling.top_k = seed % 4 == 1 ? 5 : 0;
    sampling.top_p = seed % 5 == 2 ? 0.9f : 0;
    sampling.seed = uint64_t(seed);
    const std::vector<int32_t> prompt = some_ids(1 + size_t(seed % 9), seed);
    const Written expected = write(exact, prompt, sampling, 1 + seed % 12);
    const Written found = write(lossless, prompt, sampling, 1 + seed % 12);
    CHECK(found.ids == expected.ids);
    CHECK(found.logits == expected.logits);
  }
  gsic_draft_counts counts;
  CHECK(gsic_drafts(lossless, &counts) == GSIC_OK);
  CHECK(counts.passes > 100 && counts.accepted > 0 && counts.accepted < counts.proposed && counts.looked_up > 0);
  CHECK(gsic_drafts(exact, &counts) == GSIC_OK && counts.passes == 0 && counts.proposed == 0);
}

void check_context_end(gsic_session *session) {
  const std::vector<int32_t> prompt = some_ids(5, 1);
  size_t produced = 0;
  CHECK(gsic_session_rewind(session, 0) == GSIC_OK);
  CHECK(gsic_generate(session, prompt.data(), 5, 1000, nullptr, nullptr, nullptr, nullptr, &produced) == GSIC_OK);
  CHECK(produced == kContext - 5 && gsic_session_length(session) == kContext);
}

/// Three tokens drawn with many seeds: behind what was drawn often, the frequencies of the next are the softmax.
void check_distribution(gsic_session *session) {
  constexpr int kDraws = 6000;
  const std::vector<int32_t> prompt = some_ids(4, 2);
  std::map<std::vector<int32_t>, std::map<int32_t, int>> drawn;
  for (int seed = 0; seed < kDraws; seed++) {
    gsic_sampling sampling = {};
    sampling.temperature = 0.8f;
    sampling.seed = uint64_t(seed);
    int32_t ids[3];
    size_t produced = 0;
    CHECK(gsic_session_rewind(session, 0) == GSIC_OK);
    CHECK(gsic_generate(session, prompt.data(), 4, 3, &sampling, nullptr, nullptr, ids, &produced) == GSIC_OK);
    for (int i = 0; i < 3; i++) drawn[{ids, ids + i}][ids[i]]++;
  }
  size_t compared = 0;
  for (const auto &[before, counts] : drawn) {
    int total = 0;
    for (const auto &[id, count] : counts) total += count;
    if (total < 200) continue;
    std::vector<int32_t> all = prompt;
    all.insert(all.end(), before.begin(), before.end());
    const std::vector<float> logits = expected_logits(all);
    const float *last = logits.data() + logits.size() - kVocabulary;
    double sum = 0;
    for (int v = 0; v < kVocabulary; v++) sum += std::exp(last[v] / 0.8);
    for (int v = 0; v < kVocabulary; v++) {
      const double p = std::exp(last[v] / 0.8) / sum, spread = std::sqrt(total * p * (1 - p));
      const auto found = counts.find(v);
      CHECK(std::abs((found == counts.end() ? 0 : found->second) - total * p) < 5 * spread + 1);
    }
    compared++;
  }
  CHECK(compared > 3);
}

}  // namespace

void check_drafting(const char *bundle) {
  gsic_model *model = open_model(bundle, 1);
  gsic_session *exact = open_session(model, "exact"), *lossless = open_session(model, "lossless");
  check_same_text(exact, lossless);
  check_context_end(lossless);
  check_distribution(lossless);
  gsic_session_close(exact);
  gsic_session_close(lossless);
  gsic_close(model);
}
