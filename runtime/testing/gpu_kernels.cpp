// The model of kernels.cpp as kernels of the host dialect, written against gsic/simulation.h alone. Each checks its
// bounds, counts what it moves, and shares its rows among all lanes of all workgroups.
#include <cmath>
#include <cstdio>

#include "gsic/abi.h"
#include "gsic/simulation.h"

namespace {

constexpr int kVocabulary = 40, kWidth = 8, kStride = 32, kLogitsStride = 64, kBlock = 4;
constexpr uint32_t kThreads = 64;

/// A launch, and the checked access to its memory.
class Launch {
 public:
  Launch(const gsic_simulation *simulation, void *const *arguments) : simulation_(*simulation), arguments_(arguments) {
    if (simulation_.threads != kThreads) fail("launched with another number of threads than it was compiled for");
    if (simulation_.lds < 1024) fail("takes more LDS than there is");
  }

  template <typename T> T load(uint32_t argument, uint64_t index) {
    if (!inside<T>(argument, index)) return T{};
    if (simulation_.loaded != nullptr) simulation_.loaded[argument] += sizeof(T);
    return pointer<T>(argument)[index];
  }
  template <typename T> void store(uint32_t argument, uint64_t index, T value) {
    if (!inside<T>(argument, index)) return;
    if (simulation_.stored != nullptr) simulation_.stored[argument] += sizeof(T);
    pointer<T>(argument)[index] = value;
  }
  /// As vector memory has it, or as a scalar load may.
  gsic_step step() {
    const gsic_step fresh = load<gsic_step>(0, 0);
#if defined(GSIC_SCALAR_STEP)
    if (simulation_.stale != nullptr && simulation_.stale[0] != nullptr)
      return *reinterpret_cast<const gsic_step *>(simulation_.stale[0]);
#endif
    return fresh;
  }
  /// The index of a column's cache entry of a position.
  uint64_t entry(const gsic_step &step, int column, int position) {
    const int64_t block = load<int64_t>(0, uint64_t(step.column[column].table + position / kBlock));
    return uint64_t(block + position % kBlock * kWidth);
  }

  /// Calls `work` for 0 to count - 1, as the lanes of all workgroups would share them.
  template <typename Work> int each(int count, Work work) {
    const int lanes = int(simulation_.workgroups * simulation_.threads);
    for (int lane = 0; lane < lanes; lane++)
      for (int i = lane; i < count; i += lanes) work(i);
    return failed_;
  }

 private:
  template <typename T> T *pointer(uint32_t argument) { return *static_cast<T *const *>(arguments_[argument]); }
  template <typename T> bool inside(uint32_t argument, uint64_t index) {
    if (argument >= simulation_.arguments) return fail("takes more arguments");
    const bool good = simulation_.sizes == nullptr || (index + 1) * sizeof(T) <= simulation_.sizes[argument];
    return good || fail("an access out of bounds");
  }
  bool fail(const char *what) {
    std::snprintf(simulation_.message, simulation_.message_bytes, "%s", what);
    failed_ = 1;
    return false;
  }

  const gsic_simulation &simulation_;
  void *const *arguments_;
  int failed_ = 0;
};

bool is_wanted(const gsic_step &step, int column) { return step.wanted >> column & 1; }

}  // namespace

extern "C" int test_embed(const gsic_simulation *simulation, void *const *arguments) {
  Launch launch(simulation, arguments);
  const gsic_step step = launch.step();
  return launch.each(step.columns * kWidth, [&](int n) {
    const int j = n / kWidth, i = n % kWidth;
    launch.store(2, uint64_t(j * kStride + i), launch.load<float>(1, uint64_t(step.column[j].token * kWidth + i)));
  });
}

extern "C" int test_mix(const gsic_simulation *simulation, void *const *arguments) {
  Launch launch(simulation, arguments);
  const gsic_step step = launch.step();
  return launch.each(kWidth, [&](int i) {
    for (int j = 0; j < step.columns; j++) {
      const int position = step.column[j].position;
      launch.store(2, launch.entry(step, j, position) + uint64_t(i), launch.load<float>(1, uint64_t(j * kStride + i)));
      float sum = 0;
      for (int q = 0; q <= position; q++)
        sum = sum * 0.5f + launch.load<float>(2, launch.entry(step, j, q) + uint64_t(i));
      launch.store(3, uint64_t(j * kStride + i), sum);
    }
  });
}

extern "C" int test_count(const gsic_simulation *simulation, void *const *arguments) {
  Launch launch(simulation, arguments);
  const uint64_t columns = uint64_t(launch.step().columns);
  return launch.each(1, [&](int) { launch.store(1, 0, launch.load<uint64_t>(1, 0) + columns); });
}

extern "C" int test_head(const gsic_simulation *simulation, void *const *arguments) {
  Launch launch(simulation, arguments);
  const gsic_step step = launch.step();
  return launch.each(step.columns * kVocabulary, [&](int n) {
    const int j = n / kVocabulary, v = n % kVocabulary;
    if (!is_wanted(step, j)) return;
    float sum = 0;
    for (int i = 0; i < kWidth; i++)
      sum += launch.load<float>(1, uint64_t(v * kWidth + i)) * launch.load<float>(2, uint64_t(j * kStride + i));
    launch.store(3, uint64_t(j * kLogitsStride + v), sum);
  });
}

/// The last logit of the last column is no number: (step, logits).
extern "C" int test_nan(const gsic_simulation *simulation, void *const *arguments) {
  Launch launch(simulation, arguments);
  const int last = launch.step().columns - 1;
  return launch.each(1, [&](int) { launch.store(1, uint64_t(last * kLogitsStride + kVocabulary - 1), NAN); });
}

/// chosen[j] = the lowest id of the largest logit, -1 if one is not finite, and its place: (step, logits, chosen).
extern "C" int test_choose(const gsic_simulation *simulation, void *const *arguments) {
  Launch launch(simulation, arguments);
  const gsic_step step = launch.step();
  return launch.each(step.columns, [&](int j) {
    if (!is_wanted(step, j)) return;
    int32_t best = 0;
    bool finite = true;
    for (int v = 0; v < kVocabulary; v++) {
      const float logit = launch.load<float>(1, uint64_t(j * kLogitsStride + v));
      finite &= std::isfinite(logit);
      if (logit > launch.load<float>(1, uint64_t(j * kLogitsStride + best))) best = v;
    }
    launch.store(2, uint64_t(j), gsic_choice{finite ? best : -1, step.column[j].position, step.column[j].token, 0});
  });
}

/// Reads behind its table: (step, table).
extern "C" int test_beyond(const gsic_simulation *simulation, void *const *arguments) {
  Launch launch(simulation, arguments);
  return launch.each(1, [&](int) { launch.load<float>(1, kVocabulary * kWidth); });
}

/// Adds 4 to one logit behind every third token: (step, logits).
extern "C" int test_skew(const gsic_simulation *simulation, void *const *arguments) {
  Launch launch(simulation, arguments);
  const gsic_step step = launch.step();
  return launch.each(step.columns, [&](int j) {
    const int token = step.column[j].token;
    if (!is_wanted(step, j)) return;
    const uint64_t at = uint64_t(j * kLogitsStride + token * 5 % kVocabulary);
    if (token % 3 == 0) launch.store(1, at, launch.load<float>(1, at) + 4);
  });
}
