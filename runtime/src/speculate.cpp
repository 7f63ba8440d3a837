#include "speculate.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "gsic/abi.h"

namespace gsic {
namespace {

/// The fewest tokens that must be alike for a look-up, and the most that are compared.
constexpr size_t kLeastMatch = 2, kMostMatch = 16;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// The token behind the latest earlier place with the longest common past, and how long that is.
struct Match {
  size_t next = 0, length = 0;
};

Match look_up(const std::vector<int32_t> &tokens) {
  Match best;
  const size_t size = tokens.size();
  for (size_t next = size - 1; next > 0 && best.length < kMostMatch; next--) {
    const size_t most = std::min(next, kMostMatch);
    size_t length = 0;
    while (length < most && tokens[next - 1 - length] == tokens[size - 1 - length]) length++;
    if (length > best.length) best = {next, length};
  }
  return best;
}

/// What a round proposes.
struct Proposals {
  std::vector<int32_t> ids;
  std::vector<float> margins;  ///< of ids that the draft program proposed; else empty
  size_t match = 0;            ///< of a look-up
};

Choice propose(Session &session, Sampler &sampler, int32_t id, size_t position) {
  if (sampler.is_greedy() && !session.logits_are_near()) return {session.propose_greedy(id, position), NAN};
  Choice choice{};
  session.propose(id, position, [&](const float *logits) {
    choice = sampler.pick(logits, session.model().manifest().vocabulary, position + 1);
  });
  return choice;
}

Proposals proposals_of(Session &session, Sampler &sampler, size_t most, int32_t end) {
  DraftPolicy &policy = session.draft_policy();
  const std::vector<int32_t> &tokens = session.tokens();
  Proposals made;
  const Match match = look_up(tokens);
  if (match.length >= kLeastMatch) {
    const size_t count = policy.worth_looking_up(match.length, std::min(most, tokens.size() - match.next));
    const auto first = tokens.begin() + long(match.next);
    made.ids.assign(first, std::find(first, first + long(count), end));
    made.match = match.length;
    if (!made.ids.empty()) return made;
  }
  double chain = 1;
  int32_t last = tokens.back();
  while (made.ids.size() < most && policy.worth_drafting(made.ids.size(), chain)) {
    const double start = now();
    const Choice choice = propose(session, sampler, last, tokens.size() - 1 + made.ids.size());
    policy.drafted(now() - start);
    if (choice.id == end) break;
    last = choice.id;
    made.ids.push_back(choice.id);
    made.margins.push_back(choice.margin);
    chain *= policy.acceptance(choice.margin);
  }
  return made;
}

/// What the program that decides chooses, up to and including the first token that differs from the proposals.
std::vector<int32_t> verify(Session &session, Sampler &sampler, const std::vector<int32_t> &ids) {
  const size_t begin = session.length(), count = ids.size();
  std::vector<int32_t> chosen;
  if (sampler.is_greedy() && !session.logits_are_near()) {
    chosen = session.choose_each(ids.data(), count, count + 1);
  } else {
    session.evaluate(ids.data(), count, count + 1, [&](size_t index, const float *logits) {
      if (index > 0 && (chosen.size() < index || chosen[index - 1] != ids[index - 1])) return;
      chosen.push_back(sampler.pick(logits, session.model().manifest().vocabulary, begin + index).id);
    });
  }
  const size_t alike = size_t(std::mismatch(ids.begin(), ids.end(), chosen.begin(), chosen.end()).first - ids.begin());
  chosen.resize(alike + 1);
  session.rewind(begin + alike);
  return chosen;
}

}  // namespace

std::vector<int32_t> speculate(Session &session, Sampler &sampler, size_t most, int32_t end) {
  DraftPolicy &policy = session.draft_policy();
  const size_t room = session.model().manifest().context - session.length();
  const double start = now();
  const Proposals made = proposals_of(session, sampler, std::min({most - 1, room, size_t(GSIC_MAX_COLUMNS - 1)}), end);
  const double verified = now();
  const std::vector<int32_t> chosen = verify(session, sampler, made.ids);
  const double finished = now();
  policy.verified(made.ids.size() + 1, finished - verified);
  const size_t accepted = chosen.size() - 1, tested = std::min(made.ids.size(), chosen.size());
  const bool drafted = !made.margins.empty();
  for (size_t i = 0; i < tested; i++)
    drafted ? policy.learn(made.margins[i], i < accepted) : policy.learn_look_up(made.match, i < accepted);
  policy.finish_round(chosen.size(), finished - start, made.margins.size(), made.ids.size() - made.margins.size());
  return chosen;
}

}  // namespace gsic
