// Workers: runs shared by changing numbers of them, and the choice of how many.
#include <random>

#include "check.h"
#include "thread_pool.h"
#include "worker_policy.h"

namespace {

/// Every active worker takes part in every run exactly once, and sees what all wrote before a barrier.
void check_sharing() {
  constexpr uint32_t kWorkers = 4;
  gsic::ThreadPool pool(kWorkers);
  std::mt19937 random(1);
  uint32_t active = kWorkers;
  for (int run = 0; run < 20000; run++) {
    if (random() % 3 == 0) {
      active = 1 + uint32_t(random() % kWorkers);
      const auto wait = std::chrono::microseconds(random() % 2 == 0 ? 1 : 20);
      pool.share(active, {wait, wait});
    }
    uint32_t before[kWorkers] = {}, seen[kWorkers] = {};
    pool.run([&](uint32_t worker) {
      before[worker]++;
      pool.barrier();
      for (uint32_t other = 0; other < active; other++) seen[worker] += before[other];
    });
    for (uint32_t worker = 0; worker < kWorkers; worker++) {
      CHECK(before[worker] == (worker < active ? 1 : 0));
      CHECK(seen[worker] == (worker < active ? active : 0));
    }
  }
}

/// Runs for `seconds`, each of which takes `one(sharing)`; how many of the last half were shared like that.
template <typename One, typename Is>
double share_of(gsic::WorkerPolicy &policy, double seconds, uint64_t switches, One one, Is is) {
  double done = 0, counted = 0, alike = 0;
  while (done < seconds) {
    const gsic::Sharing sharing = policy.sharing();
    const double took = one(sharing);
    if (done > seconds / 2) {
      counted += took;
      if (is(sharing)) alike += took;
    }
    done += took;
    policy.learn(7, took, switches);
  }
  return alike / counted;
}

void check_policy() {
  gsic::WorkerPolicy policy(8, gsic::Patience{});
  const auto all = [](const gsic::Sharing &sharing) {
    return sharing.workers == 8 && sharing.patience.yield > std::chrono::microseconds(1);
  };
  const auto quiet = [](const gsic::Sharing &sharing) { return 1e-3 * (0.1 + 4.0 / sharing.workers); };
  // Alone, all workers share every run.
  CHECK(share_of(policy, 5, 0, quiet, all) == 1);
  // Beside others, two are the fastest; they are found, and stay but for short trials.
  const auto busy = [](const gsic::Sharing &sharing) {
    return sharing.workers == 2 ? 2e-3 : sharing.workers == 8 ? 4e-2 : 5e-3;
  };
  const auto two = [](const gsic::Sharing &sharing) { return sharing.workers == 2; };
  CHECK(share_of(policy, 40, 3, busy, two) > 0.85);
  // The others go: all workers come back.
  CHECK(share_of(policy, 20, 0, quiet, all) == 1);
  // One worker has no choice.
  gsic::WorkerPolicy one(1, gsic::Patience{});
  for (int i = 0; i < 1000; i++) one.learn(1, 1e-3 * (i % 7), 5);
  CHECK(one.sharing().workers == 1);
}

}  // namespace

void check_workers() {
  check_sharing();
  check_policy();
}
