#include "speculate.h"

#include <algorithm>
#include <cmath>

#include "clock.h"
#include "gsic/abi.h"
#include "look_up.h"

namespace gsic {
namespace {

/// What a round proposes.
struct Proposals {
  std::vector<int32_t> ids;
  std::vector<float> margins;  ///< of ids that the draft program proposed; else empty
  size_t match = 0;            ///< of a look-up
};

/// The token behind the session's and `proposed`.
Choice propose(Session &session, Chooser &chooser, const std::vector<int32_t> &proposed) {
  const std::vector<int32_t> &tokens = session.tokens();
  const int32_t last = proposed.empty() ? tokens.back() : proposed.back();
  const size_t position = tokens.size() - 1 + proposed.size();
  if (chooser.takes_largest() && !session.logits_are_near()) return {session.propose_greedy(last, position), NAN};
  Choice choice{};
  session.propose(last, position, [&](const float *logits) { choice = chooser.pick(logits, Past(tokens, proposed)); });
  return choice;
}

Proposals proposals_of(Session &session, Chooser &chooser, size_t most, int32_t end) {
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
  while (made.ids.size() < most && policy.worth_drafting(made.ids.size(), chain)) {
    const double start = seconds_now();
    const Choice choice = propose(session, chooser, made.ids);
    policy.drafted(seconds_now() - start);
    if (choice.id == end) break;
    made.ids.push_back(choice.id);
    made.margins.push_back(choice.margin);
    chain *= policy.acceptance(choice.margin);
  }
  return made;
}

/// What the program that decides chooses, up to and including the first token that differs from the proposals.
std::vector<int32_t> verify(Session &session, Chooser &chooser, const std::vector<int32_t> &ids) {
  const size_t begin = session.length(), count = ids.size();
  std::vector<int32_t> chosen;
  if (chooser.takes_largest() && !session.logits_are_near()) {
    chosen = session.choose_each(ids.data(), count, count + 1);
  } else {
    session.evaluate(ids.data(), count, count + 1, [&](size_t index, const float *logits) {
      if (index > 0 && (chosen.size() < index || chosen[index - 1] != ids[index - 1])) return;
      chosen.push_back(chooser.pick(logits, Past(session.tokens(), begin + index)).id);
    });
  }
  const size_t alike = size_t(std::mismatch(ids.begin(), ids.end(), chosen.begin(), chosen.end()).first - ids.begin());
  chosen.resize(alike + 1);
  session.rewind(begin + alike);
  return chosen;
}

}  // namespace

std::vector<int32_t> speculate(Session &session, Chooser &chooser, size_t most, int32_t end) {
  DraftPolicy &policy = session.draft_policy();
  const size_t room = session.model().manifest().context - session.length();
  const double start = seconds_now();
  const Proposals made = proposals_of(session, chooser, std::min({most - 1, room, size_t(GSIC_MAX_COLUMNS - 1)}), end);
  const double verified = seconds_now();
  const std::vector<int32_t> chosen = verify(session, chooser, made.ids);
  const double finished = seconds_now();
  policy.verified(made.ids.size() + 1, finished - verified);
  const size_t accepted = chosen.size() - 1, tested = std::min(made.ids.size(), chosen.size());
  const bool drafted = !made.margins.empty();
  for (size_t i = 0; i < tested; i++)
    drafted ? policy.learn(made.margins[i], i < accepted) : policy.learn_look_up(made.match, i < accepted);
  policy.finish_round(chosen.size(), finished - start, made.margins.size(), made.ids.size() - made.margins.size());
  return chosen;
}

}  // namespace gsic
