// Texts that are constrained: only what may come is chosen, whatever is foreseen; they hold nobody up.
#include <random>

#include "check.h"

namespace {

bool is_fixed(size_t place) { return place % 3 != 0; }
int32_t fixed_token(size_t place) { return int32_t(place * 7 % kVocabulary); }
bool may_come(size_t place, int32_t id) {
  return is_fixed(place) ? id == fixed_token(place) : (size_t(id) + place) % 2 == 0;
}

/// A request whose tokens are allowed by a rule: of every three, two are fixed.
struct Ruled {
  std::vector<int32_t> prompt, found;
  gsic_sampling sampling = {};
  bool foresees = false, errs = false, asked = true;
  gsic_end end = GSIC_END_NONE;
  uint64_t ticket = 0, proposed = 0, accepted = 0;
  size_t answers = 0;
};

int note(const gsic_event *event, void *user) {
  Ruled &ruled = *static_cast<Ruled *>(user);
  ruled.end = event->end;
  if (event->end == GSIC_END_NONE) {
    CHECK(may_come(ruled.found.size(), event->id));
    ruled.found.push_back(event->id);
    CHECK(!ruled.asked);
    ruled.asked = event->asks != 0;
  } else {
    CHECK(event->asks == 0 && event->status == GSIC_OK);
    ruled.proposed = event->proposed_tokens;
    ruled.accepted = event->accepted_tokens;
  }
  return 0;
}

constexpr size_t kLimit = 30;

void submit(gsic_batch *batch, Ruled &ruled) {
  gsic_request request = {};
  request.prompt = ruled.prompt.data();
  request.prompt_count = ruled.prompt.size();
  request.limit = kLimit;
  request.sampling = ruled.sampling;
  request.constrained = 1;
  request.callback = note;
  request.user = &ruled;
  CHECK(gsic_batch_submit(batch, &request, &ruled.ticket) == GSIC_OK);
}

/// Says what may come behind the text, and behind what is foreseen, rightly or wrongly.
void answer(gsic_batch *batch, Ruled &ruled) {
  constexpr size_t kWords = (kVocabulary + 31) / 32;
  std::vector<int32_t> ahead;
  std::vector<uint32_t> masks;
  const size_t length = ruled.found.size();
  for (size_t place = length; ruled.foresees && is_fixed(place); place++)
    ahead.push_back((fixed_token(place) + int32_t(ruled.errs && place % 2 == 0)) % kVocabulary);
  for (size_t i = 0; i <= ahead.size(); i++) {
    masks.resize(masks.size() + kWords);
    for (int32_t id = 0; id < kVocabulary; id++)
      if (may_come(length + i, id)) masks[i * kWords + size_t(id) / 32] |= uint32_t(1) << (id % 32);
  }
  const gsic_allowed allowed = {length, masks.data(), ahead.data(), ahead.size()};
  CHECK(gsic_batch_allow(batch, ruled.ticket, &allowed) == GSIC_OK);
  // An answer that comes twice, or about another text, has no effect.
  if (ruled.answers++ % 3 == 0) CHECK(gsic_batch_allow(batch, ruled.ticket, &allowed) == GSIC_OK);
  ruled.asked = false;
}

/// Runs all requests; answers come late, in any order.
void run_all(gsic_model *model, const char *mode, uint64_t bytes, std::vector<Ruled> &all, unsigned seed) {
  const gsic_batch_options options = {mode, bytes};
  gsic_batch *batch = nullptr;
  std::mt19937 random(seed);
  CHECK(gsic_batch_open(model, &options, &batch) == GSIC_OK);
  for (Ruled &ruled : all) submit(batch, ruled);
  const auto ended = [](const Ruled &ruled) { return ruled.end != GSIC_END_NONE; };
  for (size_t runs = 0; !std::all_of(all.begin(), all.end(), ended); runs++) {
    CHECK(runs < 100000);
    for (Ruled &ruled : all)
      if (ruled.asked && !ended(ruled) && random() % 2 == 0) answer(batch, ruled);
    CHECK(gsic_batch_run(batch, 0) == GSIC_OK);
  }
  gsic_batch_close(batch);
}

/// Greedy, by plain arithmetic.
std::vector<int32_t> plain(std::vector<int32_t> ids) {
  std::vector<int32_t> made;
  while (made.size() < kLimit) {
    const std::vector<float> all = expected_logits(ids);
    const float *last = all.data() + all.size() - kVocabulary;
    int32_t best = -1;
    for (int32_t id = 0; id < kVocabulary; id++)
      if (may_come(made.size(), id) && (best < 0 || last[id] > last[best])) best = id;
    made.push_back(best);
    ids.push_back(best);
  }
  return made;
}

/// What a request writes alone, with nothing foreseen, it writes in company, with anything foreseen.
void check_same(gsic_model *model, const char *mode) {
  std::vector<Ruled> alone(24);
  for (size_t i = 0; i < alone.size(); i++) {
    alone[i].prompt = some_ids(1 + i % 7, int(i));
    alone[i].sampling.temperature = float(i % 3) * 0.5f;
    alone[i].sampling.top_p = i % 4 == 1 ? 0.8f : 0;
    alone[i].sampling.min_p = i % 4 == 3 ? 0.1f : 0;
    alone[i].sampling.frequency_penalty = i % 5 == 1 ? 0.5f : 0;
    alone[i].sampling.seed = i;
    std::vector<Ruled> one = {alone[i]};
    run_all(model, "exact", 0, one, unsigned(i));
    alone[i].found = one[0].found;
    CHECK(one[0].end == GSIC_END_LIMIT && one[0].found.size() == kLimit && one[0].proposed == 0);
    CHECK(one[0].answers == kLimit);
    if (i % 3 == 0 && i % 5 != 1) CHECK(one[0].found == plain(alone[i].prompt));
  }
  for (unsigned seed = 0; seed < 6; seed++) {
    std::vector<Ruled> all = alone;
    for (size_t i = 0; i < all.size(); i++) {
      all[i].found.clear();
      all[i].foresees = (i + seed) % 3 != 0;
      all[i].errs = (i + seed) % 3 == 1;
    }
    run_all(model, mode, seed % 2 == 0 ? 0 : 4096, all, seed);
    for (size_t i = 0; i < all.size(); i++) {
      CHECK(all[i].end == GSIC_END_LIMIT && all[i].found == alone[i].found);
      // Alone, two of three tokens need no pass of their own.
      CHECK(all[i].accepted <= all[i].proposed && (all[i].foresees || all[i].proposed == 0));
    }
  }
  std::vector<Ruled> one = {alone[0]};
  one[0].found.clear();
  one[0].foresees = true;
  run_all(model, mode, 0, one, 1);
  CHECK(one[0].found == alone[0].found && one[0].accepted >= 18 && one[0].answers <= 12);
}

/// Masks that allow nothing are refused, and who gets no answer can be cancelled.
void check_refused(gsic_model *model) {
  gsic_batch *batch = nullptr;
  CHECK(gsic_batch_open(model, nullptr, &batch) == GSIC_OK);
  Ruled ruled;
  ruled.prompt = some_ids(3, 1);
  submit(batch, ruled);
  const uint32_t none[4] = {0, 0xff00u, 1, 0};  // bits 40 to 47 are of no token
  const int32_t beyond = kVocabulary;
  gsic_allowed bad = {0, none, nullptr, 0};
  CHECK(gsic_batch_allow(batch, ruled.ticket, &bad) == GSIC_INVALID_ARGUMENT);
  CHECK(std::string(gsic_last_error()).find("allows no token") != std::string::npos);
  bad = {0, none + 2, &beyond, 1};
  CHECK(gsic_batch_allow(batch, ruled.ticket, &bad) == GSIC_INVALID_ARGUMENT);
  bad = {0, nullptr, nullptr, 0};
  CHECK(gsic_batch_allow(batch, ruled.ticket, &bad) == GSIC_INVALID_ARGUMENT);
  const gsic_allowed good = {5, none + 2, nullptr, 0};
  CHECK(gsic_batch_allow(batch, ruled.ticket, &good) == GSIC_OK && gsic_batch_allow(batch, 99, &good) == GSIC_OK);
  for (int i = 0; i < 5; i++) CHECK(gsic_batch_run(batch, 0) == GSIC_OK);
  CHECK(ruled.found.empty() && ruled.end == GSIC_END_NONE);
  CHECK(gsic_batch_cancel(batch, ruled.ticket) == GSIC_OK && gsic_batch_run(batch, 0) == GSIC_OK);
  CHECK(ruled.end == GSIC_END_CANCELLED);
  gsic_batch_close(batch);
}

}  // namespace

void check_constraint(const char *bundle) {
  gsic_model *model = open_model(bundle, 1);
  gsic_model_info info;
  CHECK(gsic_describe(model, &info) == GSIC_OK);
  const bool drafts = std::string(info.modes).find("lossless") != std::string::npos;
  check_same(model, drafts ? "lossless" : "exact");
  check_refused(model);
  gsic_close(model);
}
