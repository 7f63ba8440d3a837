// What a request changes in a choice, and what is told of it: against plain arithmetic.
#include <cmath>

#include "check.h"

namespace {

/// A token as the callback heard of it, or what ended the text.
struct Heard {
  int32_t id;
  bool of_prompt;
  gsic_end end;
  float log_probability;
  std::vector<gsic_alternative> alternatives;
};

int listen(const gsic_event *event, void *user) {
  auto &heard = *static_cast<std::vector<Heard> *>(user);
  heard.push_back({event->id,
                   event->of_prompt != 0,
                   event->end,
                   event->log_probability,
                   {event->alternatives, event->alternatives + event->alternative_count}});
  return 0;
}

/// All events of a request, in a batch of its own.
std::vector<Heard> ask(gsic_model *model, const char *mode, gsic_request request, const std::vector<int32_t> &prompt) {
  const gsic_batch_options options = {mode, 0};
  gsic_batch *batch = nullptr;
  std::vector<Heard> heard;
  uint64_t ticket = 0;
  request.prompt = prompt.data();
  request.prompt_count = prompt.size();
  request.callback = listen;
  request.user = &heard;
  CHECK(gsic_batch_open(model, &options, &batch) == GSIC_OK);
  CHECK(gsic_batch_submit(batch, &request, &ticket) == GSIC_OK);
  while (heard.empty() || heard.back().end == GSIC_END_NONE) CHECK(gsic_batch_run(batch, 0) == GSIC_OK);
  gsic_batch_close(batch);
  return heard;
}

/// The logits behind `ids`, as `sampling` changes them; the first `prompt` of them were not generated.
std::vector<float> adjusted(const std::vector<int32_t> &ids, size_t prompt, const gsic_sampling &sampling) {
  const std::vector<float> all = expected_logits(ids);
  std::vector<float> last(all.end() - kVocabulary, all.end());
  for (int32_t id = 0; id < kVocabulary; id++) {
    float &logit = last[size_t(id)];
    const auto generated = float(std::count(ids.begin() + long(prompt), ids.end(), id));
    const float repetition = sampling.repetition_penalty == 0 ? 1 : sampling.repetition_penalty;
    if (std::count(ids.begin(), ids.end(), id) > 0) logit = logit > 0 ? logit / repetition : logit * repetition;
    if (generated > 0) logit -= sampling.presence_penalty + sampling.frequency_penalty * generated;
    for (size_t i = 0; i < sampling.bias_count; i++)
      if (sampling.bias[i].id == id) logit += sampling.bias[i].value;
  }
  return last;
}

int32_t largest(const std::vector<float> &logits) {
  return int32_t(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

/// log softmax of the logits behind `ids`.
std::vector<double> log_probabilities(const std::vector<int32_t> &ids) {
  const std::vector<float> all = expected_logits(ids);
  double sum = 0;
  for (auto logit = all.end() - kVocabulary; logit != all.end(); ++logit) sum += std::exp(double(*logit));
  std::vector<double> found;
  for (auto logit = all.end() - kVocabulary; logit != all.end(); ++logit)
    found.push_back(double(*logit) - std::log(sum));
  return found;
}

bool near(double a, double b) { return std::abs(a - b) < 1e-5; }

/// What is told of a token behind `ids` is what the model says, whatever was changed for the choice.
void check_told(const std::vector<int32_t> &ids, const Heard &heard, size_t alternatives) {
  const std::vector<double> all = log_probabilities(ids);
  const std::vector<gsic_alternative> &top = heard.alternatives;
  CHECK(near(heard.log_probability, all[size_t(heard.id)]) && top.size() == alternatives);
  for (size_t i = 0; i < top.size(); i++) {
    CHECK(near(top[i].log_probability, all[size_t(top[i].id)]));
    if (i == 0) continue;
    const float before = top[i - 1].log_probability;
    CHECK(top[i].log_probability < before || (top[i].log_probability == before && top[i].id > top[i - 1].id));
  }
  if (top.empty()) return;
  const double last = top.back().log_probability;
  CHECK(std::count_if(all.begin(), all.end(), [&](double one) { return one > last + 1e-5; }) < long(top.size()));
}

constexpr gsic_bias kBias[] = {{3, 4}, {7, -100}, {3, -2.5f}};

gsic_request some_request(int seed) {
  gsic_request request = {};
  gsic_sampling &sampling = request.sampling;
  if (seed % 2 == 0) sampling.repetition_penalty = 1.3f;
  if (seed % 3 == 0) sampling.presence_penalty = 0.75f;
  if (seed % 3 == 1) sampling.frequency_penalty = 0.25f;
  if (seed % 4 == 0) sampling.presence_penalty = -0.5f;
  if (seed % 5 < 2) sampling.bias = kBias;
  if (seed % 5 < 2) sampling.bias_count = 3;
  request.log_probabilities = seed % 7 > 2;
  request.alternatives = uint32_t(seed % 7);
  request.score_prompt = seed % 4 == 1;
  request.limit = request.score_prompt != 0 && seed % 8 == 1 ? 0 : 20;
  return request;
}

/// Greedy texts under penalties and biases are those of plain arithmetic, in batches and in sessions.
void check_adjusted(gsic_model *model, const char *mode) {
  gsic_session *session = open_session(model, mode);
  for (int seed = 0; seed < 48; seed++) {
    const gsic_request request = some_request(seed);
    const bool told = request.log_probabilities != 0, scored = told && request.score_prompt != 0;
    const std::vector<int32_t> prompt = some_ids(1 + size_t(seed % 29), seed);
    const std::vector<Heard> heard = ask(model, mode, request, prompt);
    std::vector<int32_t> ids = scored ? std::vector<int32_t>() : prompt;
    for (const Heard &one : heard) {
      if (one.end != GSIC_END_NONE) break;
      CHECK(one.of_prompt == (ids.size() < prompt.size()));
      CHECK(one.id == (one.of_prompt ? prompt[ids.size()] : largest(adjusted(ids, prompt.size(), request.sampling))));
      if (ids.empty()) CHECK(std::isnan(one.log_probability) && one.alternatives.empty());
      if (told && !ids.empty()) check_told(ids, one, request.alternatives);
      if (!told) CHECK(one.log_probability == 0 && one.alternatives.empty());
      ids.push_back(one.id);
    }
    CHECK(heard.back().end == GSIC_END_LIMIT && ids.size() == prompt.size() + request.limit);
    std::vector<int32_t> again(request.limit);
    size_t produced = 0;
    CHECK(gsic_session_rewind(session, 0) == GSIC_OK);
    CHECK(gsic_generate(session, prompt.data(), prompt.size(), request.limit, &request.sampling, nullptr, nullptr,
                        again.data(), &produced) == GSIC_OK);
    CHECK(std::vector<int32_t>(ids.begin() + long(prompt.size()), ids.end()) == again && produced == request.limit);
  }
  gsic_session_close(session);
}

/// What ends a text is told of; a prompt that fills the context is only scored.
void check_ends(gsic_model *model, const char *mode) {
  const std::vector<int32_t> prompt = some_ids(5, 3), full = some_ids(kContext, 3);
  gsic_request request = {};
  request.limit = 9;
  request.log_probabilities = 1;
  request.alternatives = 2;
  const std::vector<Heard> whole = ask(model, mode, request, prompt);
  request.stop_ids = &whole[4].id;
  request.stop_count = 1;
  const std::vector<Heard> cut = ask(model, mode, request, prompt);
  const Heard &end = cut.back();
  CHECK(end.end == GSIC_END_OF_TEXT && end.id == whole[4].id && end.alternatives.size() == 2);
  const auto same = [&](const Heard &one) { return one.id == end.id && one.log_probability == end.log_probability; };
  CHECK(same(whole[cut.size() - 1]));
  request.score_prompt = 1;
  const std::vector<Heard> scored = ask(model, mode, request, full);
  CHECK(scored.size() == kContext + 1 && scored.back().end == GSIC_END_CONTEXT && scored.back().id == -1);
}

void check_refused(gsic_model *model) {
  gsic_session *session = open_session(model, nullptr);
  const auto refused = [&](auto change) {
    gsic_sampling sampling = {};
    change(sampling);
    const int32_t id = 1;
    return gsic_generate(session, &id, 1, 1, &sampling, nullptr, nullptr, nullptr, nullptr) == GSIC_INVALID_ARGUMENT;
  };
  const gsic_bias beyond = {kVocabulary, 1}, endless = {1, INFINITY};
  CHECK(refused([](gsic_sampling &one) { one.min_p = 1.5f; }));
  CHECK(refused([](gsic_sampling &one) { one.repetition_penalty = -1; }));
  CHECK(refused([](gsic_sampling &one) { one.presence_penalty = NAN; }));
  CHECK(refused([](gsic_sampling &one) { one.frequency_penalty = INFINITY; }));
  CHECK(refused([](gsic_sampling &one) { one.bias_count = 1; }));
  for (const gsic_bias *bias : {&beyond, &endless})
    CHECK(refused([bias](gsic_sampling &one) { one.bias = bias, one.bias_count = 1; }));
  gsic_session_close(session);
}

}  // namespace

void check_choices(const char *bundle) {
  gsic_model *model = open_model(bundle, 1);
  gsic_model_info info;
  CHECK(gsic_describe(model, &info) == GSIC_OK);
  const bool drafts = std::string(info.modes).find("lossless") != std::string::npos;
  for (const char *mode : {"exact", drafts ? "lossless" : "exact"}) {
    check_adjusted(model, mode);
    check_ends(model, mode);
  }
  check_refused(model);
  gsic_close(model);
}
