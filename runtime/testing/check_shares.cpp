// How texts and prompts share passes, on machines that are made up: gaps between tokens, and a newcomer's first.
#include <functional>

#include "check.h"
#include "pass_shares.h"

namespace {

constexpr size_t kPrompt = 64, kBetween = 8;

/// Seconds of a pass.
using Cost = std::function<double(gsic::PassShare)>;

/// Texts that are written, and one newcomer after another, `kBetween` passes apart.
struct SharesSimulation {
  gsic::PassShares shares = {};
  std::vector<double> gaps = {}, firsts = {};

  /// Passes have at most `most` columns.
  void run(const Cost &cost, size_t most, size_t texts, size_t newcomers) {
    double now = 10, written = 0, asked = 0;
    size_t left = 0, since = 0;
    while (firsts.size() < newcomers) {
      if (left == 0 && since == kBetween) {
        left = kPrompt;
        asked = now;
      }
      const gsic::PassShare share = shares.next(texts, left, now - written, most);
      CHECK(share.texts + share.prompts > 0 && share.texts + share.prompts <= most);
      CHECK((share.texts == 0 || share.texts == std::min(texts, most)) && share.prompts <= left);
      const double took = cost(share);
      now += took;
      shares.passed(share, took);
      since = left == 0 ? since + 1 : 0;
      if (share.texts > 0) {
        gaps.push_back(now - written);
        written = now;
      }
      if (left > 0 && left == share.prompts) firsts.push_back(now - asked);
      left -= share.prompts;
    }
  }
};

double quantile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  return values[size_t(double(values.size()) * part)];
}

}  // namespace

void check_shares() {
  // From passes that wait for memory to such that wait for arithmetic, of eight columns together or not; what texts and
  // the last token of a prompt cost besides, for their logits.
  for (const double each : {0.02, 0.07, 0.12})
    for (const bool eights : {false, true})
      for (const double head : {0.0, 0.25}) {
        const Cost cost = [=](gsic::PassShare share) {
          const size_t columns = share.texts + share.prompts, counted = eights ? (columns + 7) / 8 * 8 : columns;
          return 0.1 + each * double(counted) + (share.texts > 0 ? head : 0);
        };
        for (const size_t most : {16, 64}) {
          const double idle = double(kPrompt / most) * cost({0, most}) + head;
          for (const size_t texts : {1, 4, 8, 12, 16, 40}) {
            SharesSimulation simulation;
            simulation.shares.passed({0, most}, cost({0, most}));
            simulation.run(cost, most, texts, 20);
            simulation.gaps.clear();
            simulation.firsts.clear();
            simulation.run(cost, most, texts, 20);
            const double gap = cost({std::min(texts, most), 0});
            CHECK(quantile(simulation.gaps, 0.99) < 2.7 * gap);
            CHECK(quantile(simulation.firsts, 0.5) < 2.3 * idle);
          }
        }
      }
}
