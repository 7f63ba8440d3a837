// The kernels of a model that is small enough to check by hand: y_p = sum over q <= p of 2^(q - p) table[token q],
// logits_p = table y_p. Vocabulary 40, width 8, table[t][i] = ((7 t + 3 i) mod 11 - 5) / 8.
#include "gsic/abi.h"
#if defined(GSIC_TEST_FEATURES)
extern "C" const char gsic_code_features[] = GSIC_TEST_FEATURES;
#else
#include "gsic/code_features.h"
#endif

#if defined(GSIC_TEST_LOUD)
#include <cstdio>
__attribute__((constructor)) static void speak() { std::fputs("loaded\n", stderr); }
#endif

namespace {

constexpr int kVocabulary = 40, kWidth = 8, kStride = 32, kLogitsStride = 64, kBlock = 4;

const gsic_step &step_of(void *const *arguments) { return *static_cast<const gsic_step *>(arguments[0]); }
float *floats(void *const *arguments, int i) { return static_cast<float *>(arguments[i]); }
/// A column's cache entry of a position.
float *entry(const gsic_step &step, int column, float *cache, int position) {
  const int64_t *table = reinterpret_cast<const int64_t *>(&step) + step.column[column].table;
  return cache + table[position / kBlock] + position % kBlock * kWidth;
}
bool is_wanted(const gsic_step &step, int column) { return step.wanted >> column & 1; }

}  // namespace

/// x = table[token]: (step, table, x).
extern "C" void test_embed(const gsic_worker *worker, void *const *arguments) {
  const gsic_step &step = step_of(arguments);
  for (int j = 0; j < step.columns; j++)
    for (int i = int(worker->index); i < kWidth; i += int(worker->count))
      floats(arguments, 2)[j * kStride + i] = floats(arguments, 1)[step.column[j].token * kWidth + i];
}

/// cache[p] = x, y = sum over q of 2^(q - p) cache[q]: (step, x, cache, y).
extern "C" void test_mix(const gsic_worker *worker, void *const *arguments) {
  const gsic_step &step = step_of(arguments);
  for (int i = int(worker->index); i < kWidth; i += int(worker->count))
    for (int j = 0; j < step.columns; j++) {
      float *const cache = floats(arguments, 2);
      entry(step, j, cache, step.column[j].position)[i] = floats(arguments, 1)[j * kStride + i];
      float sum = 0;
      for (int q = 0; q <= step.column[j].position; q++) sum = sum * 0.5f + entry(step, j, cache, q)[i];
      worker->scratch[worker->scratch_floats - 1] = sum;
      floats(arguments, 3)[j * kStride + i] = sum;
    }
}

/// counters[0] += columns: (step, counters).
extern "C" void test_count(const gsic_worker *worker, void *const *arguments) {
  if (worker->index == 0) static_cast<uint64_t *>(arguments[1])[0] += uint64_t(step_of(arguments).columns);
}

/// logits = table y: (step, table, y, logits).
extern "C" void test_head(const gsic_worker *worker, void *const *arguments) {
  const gsic_step &step = step_of(arguments);
  for (int j = 0; j < step.columns; j++)
    for (int v = int(worker->index); is_wanted(step, j) && v < kVocabulary; v += int(worker->count)) {
      float sum = 0;
      for (int i = 0; i < kWidth; i++)
        sum += floats(arguments, 1)[v * kWidth + i] * floats(arguments, 2)[j * kStride + i];
      floats(arguments, 3)[j * kLogitsStride + v] = sum;
    }
}

/// logits = NaN, for the mode that must be refused: (step, logits).
extern "C" void test_nan(const gsic_worker *worker, void *const *arguments) {
  if (worker->index == 0) floats(arguments, 1)[kLogitsStride * (step_of(arguments).columns - 1)] = __builtin_nanf("");
}

/// Adds 4 to one logit behind every third token: (step, logits).
extern "C" void test_skew(const gsic_worker *worker, void *const *arguments) {
  const gsic_step &step = step_of(arguments);
  if (worker->index != 0) return;
  for (int j = 0; j < step.columns; j++) {
    const int token = step.column[j].token;
    if (is_wanted(step, j) && token % 3 == 0) floats(arguments, 1)[j * kLogitsStride + token * 5 % kVocabulary] += 4;
  }
}
