// How many workers take part where other programs use the CPUs: the choice on machines that are made up, and logits
// beside busy threads.
#include <sched.h>

#include <cstring>
#include <functional>
#include <thread>

#include "check.h"
#include "session.h"
#include "thread_policy.h"
#include "thread_pool.h"

namespace {

using gsic::Share;

/// A machine whose time is computed.
struct Machine {
  uint32_t workers;
  std::function<double(Share)> seconds;      ///< of a pass of one column, with noise besides
  std::function<double(uint32_t)> switches;  ///< of a second of CPU time of so many workers
};

constexpr int kParts = 20;

/// Decodes on a machine, in passes of 1 and 4 columns.
class Simulation {
 public:
  explicit Simulation(uint32_t workers) : policy(workers) {}

  /// For so many seconds; passes a second.
  double run(const Machine &machine, double seconds) {
    const double begun = now_;
    double passes = 0;
    for (int i = 0; now_ - begun < seconds; i++) {
      const double amount = i % 3 == 0 ? 4 : 1;
      const Share share = policy.begin({uint64_t(i % 3 == 0), amount}, now_);
      last = share;
      const double noise = 0.6 + 0.8 * double((state_ = state_ * 1664525 + 1013904223) >> 8) / (1 << 24);
      uint32_t going = share.count;
      for (int part = 0; part < kParts; part++) {
        const double took = machine.seconds({going, share.sleeps}) * amount * noise / kParts;
        now_ += took;
        use_.seconds += took * going;
        taken_ += took * going * machine.switches(going);
        use_.switches = uint64_t(taken_);
        if (part + 1 < kParts) going = policy.look(now_, use_, double(part + 1) / kParts);
      }
      policy.end(now_, use_, share.count);
      passes += amount;
    }
    return passes / (now_ - begun);
  }

  /// A task of which all seconds are known; whether all who began it did it to its end.
  bool run_once(const gsic::Task &task, double seconds) {
    const Share share = policy.begin(task, now_);
    now_ += seconds;
    use_.seconds += seconds * share.count;
    const uint32_t going = policy.look(now_, use_, 0.9);
    policy.end(now_, use_, share.count);
    return going == share.count;
  }

  gsic::ThreadPolicy policy;
  Share last = {};

 private:
  double now_ = 100, taken_ = 0;
  gsic::CpuUse use_ = {};
  uint32_t state_ = 1;
};

/// Tokens a second of the best fixed number.
double best_of(const Machine &machine) {
  double best = 0;
  for (uint32_t count = 1; count <= machine.workers; count++)
    for (const bool sleeps : {false, true}) best = std::max(best, 1 / machine.seconds({count, sleeps}));
  return best;
}

Machine quiet(uint32_t workers) {
  const auto seconds = [](Share share) { return 0.01 / share.count + (share.sleeps ? 0.005 : 0.0003); };
  return {workers, seconds, [](uint32_t) { return 120.0; }};
}

/// Begins quiet, then has others on its CPUs, then is quiet again.
void check_machine(const Machine &machine) {
  const Machine calm = quiet(machine.workers);
  const Share all = {machine.workers, false};
  Simulation simulation(machine.workers);
  CHECK(simulation.run(calm, 20) > 0.98 * best_of(calm));
  CHECK(simulation.policy.trials() == 0);
  simulation.run(machine, 10);
  CHECK(simulation.policy.trials() > 0);
  CHECK(simulation.run(machine, 60) > 0.9 * best_of(machine));
  simulation.run(calm, 20);
  const uint64_t trials = simulation.policy.trials();
  CHECK(simulation.run(calm, 20) > 0.98 * best_of(calm));
  CHECK(simulation.policy.trials() == trials && simulation.last == all);
}

/// Behind a comparison, a long task of another kind is none that takes too long.
void check_new_kind() {
  const double pass = 0.006;
  const Machine machine = {2, [=](Share share) { return share.count == 1 ? 0.01 : pass; },
                           [](uint32_t) { return 1000.0; }};
  for (int run = 0; run < 20; run++) {
    Simulation simulation(2);
    while (simulation.policy.trials() == 0) simulation.run(machine, 0.1);
    simulation.run(machine, 0.01 * run);
    CHECK(simulation.run_once({7, 60}, 60 * pass));
  }
}

/// Two threads of one CPU are none where there are more.
void check_cpus() {
  cpu_set_t before, after;
  CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
  if (CPU_COUNT(&before) == 1) return;
  // The system may move it again meanwhile, but not every time.
  bool moved = false;
  for (int i = 0; i < 100 && !moved; i++) {
    const int cpu = sched_getcpu();
    moved = gsic::leave_cpus({cpu}) != cpu;
  }
  CHECK(moved && sched_getaffinity(0, sizeof after, &after) == 0 && CPU_EQUAL(&before, &after));
}

void check_policy() {
  const auto often = [](uint32_t) { return 1000.0; };
  // Two workers wait for each other's turns, more or less.
  for (const double two : {1.0, 0.05, 0.018, 0.006})
    for (const double sleeping : {1.0, 0.05, 0.018, 0.006})
      check_machine({2, [=](Share share) { return share.count == 1 ? 0.01 : share.sleeps ? sleeping : two; }, often});
  // One alone is not disturbed.
  check_machine({2, [](Share share) { return share.count == 1 ? 0.01 : 0.02; },
                 [](uint32_t count) { return count == 1 ? 0.0 : 600.0; }});
  // Some of many CPUs are free.
  for (const uint32_t free : {1u, 3u, 10u, 50u, 63u})
    check_machine({64,
                   [=](Share share) {
                     return 0.02 / std::min(share.count, free) + (share.count > free ? 0.1 : 0) +
                            (share.sleeps ? 0.002 : 0);
                   },
                   often});
}

/// Keeps every CPU busy, twice.
class Busy {
 public:
  Busy() {
    for (uint32_t i = 0; i < 2 * gsic::usable_cpus(); i++)
      threads_.emplace_back([this] {
        while (!ended_.load(std::memory_order_relaxed)) {
        }
      });
  }
  ~Busy() {
    ended_ = true;
    for (std::thread &thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> ended_{false};
  std::vector<std::thread> threads_;
};

void check_beside_busy(const char *bundle) {
  gsic::OpenOptions options;
  options.threads = 3;
  const auto model = std::make_shared<const gsic::Model>(bundle, options);
  gsic::Session session(model, "exact");
  const std::vector<int32_t> ids = some_ids(kContext, 5);
  const std::vector<float> expected = expected_logits(ids);
  const Busy busy;
  for (size_t columns = 1; model->device().thread_trials() < 3; columns = columns % 16 + 1) {
    session.rewind(0);
    for (size_t done = 0; done < ids.size(); done += columns) {
      const size_t count = std::min(columns, ids.size() - done);
      session.evaluate(&ids[done], count, count, [&](size_t index, const float *logits) {
        CHECK(std::memcmp(logits, &expected[(done + index) * kVocabulary], kVocabulary * sizeof(float)) == 0);
      });
    }
  }
  CHECK(model->device().threads() == options.threads);
}

}  // namespace

void check_threads(const char *bundle) {
  check_policy();
  check_new_kind();
  check_cpus();
  check_beside_busy(bundle);
}
