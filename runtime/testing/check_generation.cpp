// Generation, calls inside callbacks, sampling, and sessions on several threads.
#include <cmath>
#include <cstring>
#include <map>
#include <thread>

#include "check.h"
#include "error.h"
#include "sampler.h"
#include "scan.h"

namespace {

int32_t greedy(const std::vector<int32_t> &ids) {
  const std::vector<float> logits = expected_logits(ids);
  const float *last = logits.data() + logits.size() - kVocabulary;
  int32_t best = 0;
  for (int v = 1; v < kVocabulary; v++)
    if (last[v] > last[best]) best = v;
  return best;
}

struct Watcher {
  gsic_session *session;
  int calls, stop_after;
};

/// Calls into the session that is running are refused.
int watch(int32_t, const char *, size_t, void *user) {
  Watcher &watcher = *static_cast<Watcher *>(user);
  const int32_t id = 1;
  CHECK(gsic_evaluate(watcher.session, &id, 1, nullptr, 0) == GSIC_BUSY);
  CHECK(gsic_session_rewind(watcher.session, 0) == GSIC_BUSY);
  return ++watcher.calls == watcher.stop_after;
}

/// Closing the running session only ends it after the call.
int close_it(int32_t, const char *, size_t, void *user) {
  gsic_session_close(static_cast<gsic_session *>(user));
  return 1;
}

}  // namespace

void check_generation(const char *bundle) {
  gsic_model *model = open_model(bundle, 2);
  gsic_session *session = open_session(model, nullptr);
  std::vector<int32_t> all = some_ids(3, 5);
  int32_t ids[kContext];
  size_t produced = 0;
  CHECK(gsic_generate(session, all.data(), 3, 6, nullptr, nullptr, nullptr, ids, &produced) == GSIC_OK);
  CHECK(produced == 6 && gsic_session_length(session) == 9);
  for (size_t i = 0; i < produced; i++) {
    CHECK(ids[i] == greedy(all));
    all.push_back(ids[i]);
  }
  // What was generated belongs to the session: go on from there, and to the end of the context.
  Watcher watcher = {session, 0, -1};
  const int32_t next = 7;
  all.push_back(next);
  CHECK(gsic_generate(session, &next, 1, 1000, nullptr, watch, &watcher, nullptr, &produced) == GSIC_OK);
  CHECK(produced == kContext - all.size() && watcher.calls == int(produced));
  CHECK(gsic_session_length(session) == kContext);
  CHECK(gsic_session_rewind(session, 9) == GSIC_OK);
  std::vector<float> logits(kVocabulary);
  CHECK(gsic_evaluate(session, &next, 1, logits.data(), 1) == GSIC_OK);
  CHECK(std::memcmp(logits.data(), expected_logits(all).data() + 9 * kVocabulary, kVocabulary * 4) == 0);

  watcher = {session, 0, 2};
  CHECK(gsic_generate(session, &next, 1, 10, nullptr, watch, &watcher, ids, &produced) == GSIC_CANCELLED);
  CHECK(produced == 2 && gsic_session_length(session) == 13);
  CHECK(gsic_generate(session, nullptr, 0, 10, nullptr, nullptr, nullptr, ids, &produced) == GSIC_INVALID_ARGUMENT);
  gsic_sampling bad = {};
  bad.temperature = NAN;
  CHECK(gsic_generate(session, &next, 1, 1, &bad, nullptr, nullptr, ids, &produced) == GSIC_INVALID_ARGUMENT);
  CHECK(gsic_generate(session, &next, 1, 1, nullptr, close_it, session, ids, &produced) == GSIC_CANCELLED);
  gsic_close(model);
}

void check_concurrency(const char *bundle) {
  gsic_model *model = open_model(bundle, 2);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; t++)
    threads.emplace_back([model, t] {
      gsic_session *session = open_session(model, t == 0 ? "exact" : nullptr);
      for (int round = 0; round < 10; round++) {
        const std::vector<int32_t> ids = some_ids(30, t + round);
        std::vector<float> logits(ids.size() * kVocabulary);
        CHECK(gsic_session_rewind(session, 0) == GSIC_OK);
        CHECK(gsic_evaluate(session, ids.data(), ids.size(), logits.data(), ids.size()) == GSIC_OK);
        CHECK(logits == expected_logits(ids));
      }
      gsic_session_close(session);
    });
  for (std::thread &thread : threads) thread.join();
  gsic_close(model);
}

namespace {

/// How often each id is drawn from `logits`.
std::map<int32_t, int> draw(const std::vector<float> &logits, gsic_sampling options, int times) {
  gsic::Sampler sampler(options);
  std::map<int32_t, int> counts;
  for (int i = 0; i < times; i++) counts[sampler.pick(logits.data(), logits.size(), size_t(i)).id]++;
  return counts;
}

gsic_sampling sampling(float temperature, uint32_t top_k, float top_p, uint64_t seed) {
  gsic_sampling made = {};
  made.temperature = temperature;
  made.top_k = top_k;
  made.top_p = top_p;
  made.seed = seed;
  return made;
}

/// Passes over logits against plain loops, at every length around whole steps and with what is sought at every place.
void check_scans() {
  for (size_t count = 1; count <= 67; count++)
    for (size_t place = 0; place < count; place++) {
      std::vector<float> values(count, -1);
      for (size_t i = 0; i < count; i++) values[i] = -1 - float((i * 29) % 31);
      CHECK(gsic::all_finite(values.data(), count));
      for (const float bad : {NAN, INFINITY, -INFINITY}) {
        std::vector<float> spoilt = values;
        spoilt[place] = bad;
        CHECK(!gsic::all_finite(spoilt.data(), count));
      }
      for (const float temperature : {0.05f, 1.0f, 30.0f}) {
        double sum = 0;
        for (const float value : values) sum += std::exp((value + 1) / double(temperature));
        CHECK(std::abs(gsic::sum_of_weights(values.data(), count, -1, temperature) / sum - 1) < 3e-6);
      }
      // The largest, once and twice; a margin to the best of the others.
      values[place] = 3;
      std::vector<float> sorted = values;
      std::sort(sorted.rbegin(), sorted.rend());
      const gsic::Choice one = gsic::largest(values.data(), count);
      CHECK(one.id == int32_t(place) && one.margin == (count == 1 ? INFINITY : 3 - sorted[1]));
      values[(place + 17) % count] = 3;
      const gsic::Choice two = gsic::largest(values.data(), count);
      CHECK(two.id == int32_t(std::min(place, (place + 17) % count)));
      CHECK(two.margin == 0 || (place + 17) % count == place);
    }
}

}  // namespace

void check_sampling() {
  check_scans();
  const std::vector<float> logits = {0, 2, 1, 2, -1};
  CHECK(draw(logits, sampling(0, 0, 0, 0), 3) == (std::map<int32_t, int>{{1, 3}}));
  CHECK(draw(logits, sampling(1, 1, 0, 9), 50) == (std::map<int32_t, int>{{1, 50}}));
  CHECK(draw(logits, sampling(0.7f, 3, 0, 9), 500) == draw(logits, sampling(0.7f, 3, 0, 9), 500));
  CHECK(draw(logits, sampling(0.7f, 3, 0, 9), 500) != draw(logits, sampling(0.7f, 3, 0, 8), 500));
  CHECK(draw(logits, sampling(1, 3, 0, 1), 2000).size() == 3);
  // Probabilities .381 .381 .140 .052 .019: two tokens reach 0.7, three 0.8.
  CHECK(draw(logits, sampling(1, 0, 0.7f, 1), 2000).size() == 2 &&
        draw(logits, sampling(1, 0, 0.8f, 1), 2000).size() == 3);
  // The third is 0.37 times the first, the fourth 0.14 times.
  gsic_sampling likely = sampling(1, 0, 0, 1);
  likely.min_p = 0.3f;
  CHECK(draw(logits, likely, 2000).size() == 3);
  likely.min_p = 1;
  CHECK(draw(logits, likely, 2000).size() == 2);
  constexpr int kDraws = 40000;
  double total = 0;
  for (const float logit : logits) total += std::exp(logit / 1.5);
  const std::map<int32_t, int> counts = draw(logits, sampling(1.5f, 0, 0, 42), kDraws);
  for (size_t i = 0; i < logits.size(); i++) {
    const double p = std::exp(logits[i] / 1.5) / total, spread = std::sqrt(kDraws * p * (1 - p));
    CHECK(std::abs(counts.at(int32_t(i)) - kDraws * p) < 5 * spread);
  }
  std::vector<float> many(1000);
  for (size_t i = 0; i < many.size(); i++) many[i] = float(i % 7) * 0.01f;
  CHECK(draw(many, sampling(1, 0, 0.5f, 3), 20000).size() > 400 &&
        draw(many, sampling(1, 0, 0.5f, 3), 20000).size() < 501);
}
