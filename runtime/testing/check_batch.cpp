// Batches: what a request writes in company is what it writes alone, bit for bit, whatever becomes of its cache.
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <thread>

#include "check.h"

namespace {

constexpr gsic_bias kBias[] = {{3, 2.5f}, {7, -40}};

/// A request, what it must write, and what it wrote.
struct Asked {
  std::vector<int32_t> prompt, stop, expected, found;
  size_t limit = 0, window = 0;
  gsic_sampling sampling = {};
  gsic_end expected_end = GSIC_END_LIMIT, end = GSIC_END_NONE;
  std::vector<float> log_probabilities;
  uint32_t alternatives = 0;
  bool scores = false;
  std::vector<int32_t> scored;  ///< tokens of the prompt, as they were told of
  std::vector<float> scores_found;
  std::vector<gsic_alternative> likely;  ///< of all events that have them, one after the other
  int32_t last = -1;                     ///< what ended the text
  uint64_t proposed = 0, accepted = 0;
  gsic_batch *batch = nullptr;
  uint64_t ticket = 0;
};

int note(const gsic_event *event, void *user) {
  Asked &asked = *static_cast<Asked *>(user);
  CHECK(asked.end == GSIC_END_NONE && (asked.ticket == 0 || event->ticket == asked.ticket));
  asked.end = event->end;
  asked.likely.insert(asked.likely.end(), event->alternatives, event->alternatives + event->alternative_count);
  if (event->of_prompt != 0) {
    CHECK(asked.scores && asked.found.empty() && event->end == GSIC_END_NONE && event->text_bytes == 0);
    asked.scored.push_back(event->id);
    asked.scores_found.push_back(event->log_probability);
  } else if (event->end == GSIC_END_NONE) {
    asked.found.push_back(event->id);
    asked.log_probabilities.push_back(event->log_probability);
  } else {
    CHECK((event->id != -1) == (event->end == GSIC_END_OF_TEXT) && event->status == GSIC_OK);
    asked.last = event->id;
    asked.proposed = event->proposed_tokens;
    asked.accepted = event->accepted_tokens;
    if (event->end == GSIC_END_OF_TEXT) asked.log_probabilities.push_back(event->log_probability);
  }
  return 0;
}

void submit(gsic_batch *batch, Asked &asked) {
  gsic_request request = {};
  request.prompt = asked.prompt.data();
  request.prompt_count = asked.prompt.size();
  request.limit = asked.limit;
  request.sampling = asked.sampling;
  request.stop_ids = asked.stop.data();
  request.stop_count = asked.stop.size();
  request.window = asked.window;
  request.log_probabilities = 1;
  request.alternatives = asked.alternatives;
  request.score_prompt = asked.scores;
  request.callback = note;
  request.user = &asked;
  asked.batch = batch;
  CHECK(gsic_batch_submit(batch, &request, &asked.ticket) == GSIC_OK);
}

/// What a session of its own writes, cut off at an id that ends the text.
void write_alone(gsic_session *session, Asked &asked) {
  std::vector<int32_t> ids(asked.limit);
  size_t produced = 0;
  CHECK(gsic_session_rewind(session, 0) == GSIC_OK);
  CHECK(gsic_generate(session, asked.prompt.data(), asked.prompt.size(), asked.limit, &asked.sampling, nullptr, nullptr,
                      ids.data(), &produced) == GSIC_OK);
  ids.resize(produced);
  asked.expected_end = produced < asked.limit ? GSIC_END_CONTEXT : GSIC_END_LIMIT;
  const auto stop = std::find_first_of(ids.begin(), ids.end(), asked.stop.begin(), asked.stop.end());
  if (stop != ids.end()) asked.expected_end = GSIC_END_OF_TEXT;
  asked.expected.assign(ids.begin(), stop);
}

/// Requests of every kind; many begin alike, some are all alike.
std::vector<std::unique_ptr<Asked>> some_requests(std::mt19937 &random, size_t count) {
  std::vector<std::unique_ptr<Asked>> all;
  const auto below = [&](size_t end) { return size_t(random() % end); };
  for (size_t i = 0; i < count; i++) {
    auto asked = std::make_unique<Asked>();
    asked->prompt = some_ids(below(40), int(below(3)));
    for (size_t more = below(asked->prompt.empty() ? 9 : 4) + (asked->prompt.empty() ? 1 : 0); more > 0; more--)
      asked->prompt.push_back(int32_t(below(kVocabulary)));
    asked->limit = 1 + below(40);
    if (below(3) > 0) {
      asked->sampling.temperature = 0.5f + float(below(3));
      asked->sampling.top_k = uint32_t(below(2) * 5);
      asked->sampling.seed = uint64_t(below(9)) << 61;
    }
    if (below(4) == 0) asked->sampling.frequency_penalty = float(below(5)) - 2;
    if (below(4) == 0) asked->sampling.repetition_penalty = 0.8f + 0.2f * float(below(3));
    if (below(4) == 0) asked->sampling.min_p = 0.3f;
    if (below(6) == 0) asked->sampling.bias = kBias, asked->sampling.bias_count = 2;
    asked->scores = below(5) == 0;
    asked->alternatives = uint32_t(below(3));
    if (below(4) == 0) asked->stop = {int32_t(below(kVocabulary)), int32_t(below(kVocabulary))};
    if (below(3) == 0) asked->window = 1 + below(4);
    all.push_back(std::move(asked));
  }
  return all;
}

bool all_ended(const std::vector<std::unique_ptr<Asked>> &all) {
  return std::all_of(all.begin(), all.end(), [](const auto &asked) { return asked->end != GSIC_END_NONE; });
}

/// Requests come in bursts, and readers take what they get now and then.
gsic_batch_counts run_all(gsic_model *model, const char *mode, uint64_t bytes, std::mt19937 &random,
                          std::vector<std::unique_ptr<Asked>> &all) {
  const gsic_batch_options options = {mode, bytes};
  gsic_batch *batch = nullptr;
  CHECK(gsic_batch_open(model, &options, &batch) == GSIC_OK);
  std::map<Asked *, size_t> read;
  for (size_t sent = 0, runs = 0; sent < all.size() || !all_ended(all); runs++) {
    CHECK(runs < 100000);
    for (size_t burst = random() % 3 == 0 ? random() % 6 : 0; burst > 0 && sent < all.size(); burst--)
      submit(batch, *all[sent++]);
    CHECK(gsic_batch_run(batch, 0) == GSIC_OK);
    for (size_t i = 0; i < sent; i++) {
      Asked &asked = *all[i];
      if (random() % 3 != 0) continue;
      CHECK(asked.window == 0 || asked.found.size() - read[&asked] <= asked.window + 15);
      CHECK(gsic_batch_taken(batch, asked.ticket, asked.found.size() - read[&asked]) == GSIC_OK);
      read[&asked] = asked.found.size();
    }
  }
  gsic_batch_counts counts;
  CHECK(gsic_batch_count(batch, &counts) == GSIC_OK);
  CHECK(counts.waiting + counts.reading + counts.writing + counts.paused == 0 && counts.blocks_held == 0);
  gsic_batch_close(batch);
  return counts;
}

void check_same(gsic_model *model, const char *mode, bool drafts) {
  gsic_session *session = open_session(model, drafts ? "exact" : mode);
  gsic_batch_counts sum = {};
  // Log-probabilities, by prompt, text and what ended it.
  std::map<std::vector<int32_t>, std::vector<float>> known;
  for (unsigned seed = 0; seed < 12; seed++) {
    std::mt19937 random(seed);
    auto all = some_requests(random, 60);
    for (auto &asked : all) write_alone(session, *asked);
    // A context, which is 2048 bytes; a few; as many as anybody wants.
    const uint64_t bytes = seed % 3 == 0 ? 2048 : seed % 3 == 1 ? 6000 : 0;
    const gsic_batch_counts counts = run_all(model, mode, bytes, random, all);
    for (const auto &asked : all) {
      CHECK(asked->found == asked->expected);
      CHECK(asked->end == asked->expected_end);
      std::vector<int32_t> whole = asked->prompt;
      whole.insert(whole.end(), asked->found.begin(), asked->found.end());
      whole.push_back(asked->last);
      whole.push_back(int32_t(asked->prompt.size()));
      CHECK(known.emplace(whole, asked->log_probabilities).first->second == asked->log_probabilities);
      CHECK(asked->scored == (asked->scores ? asked->prompt : std::vector<int32_t>()));
    }
    uint64_t proposed = 0, accepted = 0;
    for (const auto &asked : all) proposed += asked->proposed, accepted += asked->accepted;
    CHECK(proposed == counts.proposed_tokens && accepted == counts.accepted_tokens);
    CHECK(bytes != 2048 || (counts.preempted > 0 && counts.blocks_evicted > 0));
    CHECK(counts.shared_tokens > 0 && counts.columns > counts.passes);
    sum.proposed_tokens += counts.proposed_tokens;
    sum.accepted_tokens += counts.accepted_tokens;
  }
  if (drafts) CHECK(sum.accepted_tokens > 0 && sum.accepted_tokens < sum.proposed_tokens);
  if (!drafts) CHECK(sum.proposed_tokens == 0);
  gsic_session_close(session);
}

int stop_at_two(const gsic_event *event, void *user) {
  Asked &asked = *static_cast<Asked *>(user);
  note(event, user);
  if (event->end == GSIC_END_NONE && asked.found.size() == 2) return 1;
  // From within a callback, too.
  if (event->end != GSIC_END_NONE) CHECK(gsic_batch_cancel(asked.batch, asked.ticket) == GSIC_OK);
  return 0;
}

void check_ends(gsic_model *model) {
  gsic_batch *batch = nullptr;
  CHECK(gsic_batch_open(model, nullptr, &batch) == GSIC_OK);
  std::vector<Asked> all(5);
  for (size_t i = 0; i < all.size(); i++) {
    all[i].prompt = some_ids(i == 3 ? kContext : 20, int(i));
    all[i].limit = i == 2 ? 0 : 10;
  }
  for (size_t i = 0; i < 4; i++) submit(batch, all[i]);
  gsic_request request = {};
  request.prompt = all[4].prompt.data();
  request.prompt_count = 20;
  request.limit = 10;
  request.callback = stop_at_two;
  request.user = &all[4];
  all[4].batch = batch;
  CHECK(gsic_batch_submit(batch, &request, &all[4].ticket) == GSIC_OK);
  // Another thread cancels.
  std::thread([&] { CHECK(gsic_batch_cancel(batch, all[1].ticket) == GSIC_OK); }).join();
  for (int i = 0; i < 40; i++) CHECK(gsic_batch_run(batch, 0) == GSIC_OK);
  CHECK(all[0].end == GSIC_END_LIMIT && all[0].found.size() == 10);
  CHECK(all[1].end == GSIC_END_CANCELLED && all[1].found.empty());
  CHECK(all[2].end == GSIC_END_LIMIT && all[2].found.empty());
  CHECK(all[3].end == GSIC_END_CONTEXT && all[3].found.empty());
  CHECK(all[4].end == GSIC_END_CANCELLED && all[4].found.size() == 2);
  CHECK(gsic_batch_cancel(batch, 12345) == GSIC_OK && gsic_batch_taken(batch, 12345, 1) == GSIC_OK);
  gsic_batch_close(batch);
}

/// A prompt of more than sixteen tokens is read in a pass, and more than sixteen texts go on in one.
void check_wide_passes(gsic_model *model) {
  gsic_batch_options options = {};
  options.mode = "exact";
  gsic_batch *batch = nullptr;
  CHECK(gsic_batch_open(model, &options, &batch) == GSIC_OK);
  gsic_session *session = open_session(model, options.mode);
  std::vector<Asked> all(40);
  for (size_t i = 0; i < all.size(); i++) {
    all[i].prompt = some_ids(i == 0 ? 50 : 1, int(i));
    all[i].limit = 4;
    write_alone(session, all[i]);
  }
  gsic_batch_counts counts;
  submit(batch, all[0]);
  CHECK(gsic_batch_run(batch, 0) == GSIC_OK && gsic_batch_count(batch, &counts) == GSIC_OK);
  CHECK(counts.passes == 1 && counts.columns == 50 && all[0].found.size() == 1);
  for (size_t i = 1; i < all.size(); i++) submit(batch, all[i]);
  CHECK(gsic_batch_run(batch, 0) == GSIC_OK && gsic_batch_count(batch, &counts) == GSIC_OK);
  CHECK(counts.passes == 2 && counts.columns == 90);
  for (int i = 0; i < 3; i++) CHECK(gsic_batch_run(batch, 0) == GSIC_OK);
  for (const Asked &asked : all) CHECK(asked.end == asked.expected_end && asked.found == asked.expected);
  gsic_session_close(session);
  gsic_batch_close(batch);
}

void check_refused_requests(gsic_model *model) {
  gsic_batch *batch = nullptr;
  const gsic_batch_options small = {nullptr, 2047}, unknown = {"lossy", 0};
  CHECK(gsic_batch_open(model, &small, &batch) == GSIC_INVALID_ARGUMENT && batch == nullptr);
  CHECK(std::string(gsic_last_error()).find("2048 bytes or more") != std::string::npos);
  CHECK(gsic_batch_open(model, &unknown, &batch) == GSIC_INVALID_ARGUMENT && batch == nullptr);
  CHECK(gsic_batch_open(model, nullptr, &batch) == GSIC_OK);
  Asked asked;
  asked.prompt = some_ids(kContext + 1, 1);
  gsic_request request = {};
  uint64_t ticket = 0;
  request.limit = 1;
  CHECK(gsic_batch_submit(batch, &request, &ticket) == GSIC_INVALID_ARGUMENT);
  request.callback = note;
  CHECK(gsic_batch_submit(batch, &request, &ticket) == GSIC_INVALID_ARGUMENT);
  request.prompt = asked.prompt.data();
  request.prompt_count = asked.prompt.size();
  CHECK(gsic_batch_submit(batch, &request, &ticket) == GSIC_CONTEXT_FULL);
  request.prompt_count = SIZE_MAX;  // is not copied
  CHECK(gsic_batch_submit(batch, &request, &ticket) == GSIC_CONTEXT_FULL);
  request.prompt_count = 3;
  request.sampling.temperature = -1;
  CHECK(gsic_batch_submit(batch, &request, &ticket) == GSIC_INVALID_ARGUMENT);
  request.sampling.temperature = 0;
  asked.prompt[1] = kVocabulary;
  CHECK(gsic_batch_submit(batch, &request, &ticket) == GSIC_INVALID_ARGUMENT && ticket == 0);
  CHECK(gsic_batch_run(batch, 1) == GSIC_OK);
  gsic_batch_close(batch);
}

}  // namespace

void check_batch(const char *bundle) {
  gsic_model *model = open_model(bundle, 2);
  gsic_model_info info;
  CHECK(gsic_describe(model, &info) == GSIC_OK);
  const std::string modes = info.modes;
  check_same(model, "exact", false);
  check_same(model, modes.find("lossless") == std::string::npos ? "bounded" : "lossless",
             modes.find("lossless") != std::string::npos);
  check_ends(model);
  if (std::string(info.target).rfind("cpu", 0) == 0) check_wide_passes(model);  // a GPU's kernels take 16 columns
  check_refused_requests(model);
  gsic_close(model);
}
