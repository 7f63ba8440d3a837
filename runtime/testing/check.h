// A test that stops at the first thing that is not so.
#ifndef GSIC_TESTING_CHECK_H
#define GSIC_TESTING_CHECK_H

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "gsic.h"

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      std::fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #condition, gsic_last_error()); \
      std::exit(1);                                                                                                    \
    }                                                                                                                  \
  } while (false)

/// The model of kernels.cpp.
constexpr int kVocabulary = 40, kWidth = 8, kContext = 64;

/// Opens a bundle that must be good.
inline gsic_model *open_model(const char *path, uint32_t threads) {
  gsic_open_options options = {};
  options.threads = threads;
  gsic_model *model = nullptr;
  CHECK(gsic_open(path, &options, &model) == GSIC_OK);
  return model;
}

inline gsic_session *open_session(gsic_model *model, const char *mode) {
  gsic_session *session = nullptr;
  CHECK(gsic_session_open(model, mode, &session) == GSIC_OK);
  return session;
}

/// `count` ids that depend on `seed`.
std::vector<int32_t> some_ids(size_t count, int seed);
/// The logits [ids, vocabulary] that the model must give.
std::vector<float> expected_logits(const std::vector<int32_t> &ids);

/// Logits are right for every way of cutting the tokens.
void check_logits(gsic_model *model);
/// Rewinding, limits, and calls that must be refused.
void check_calls(gsic_model *model);

/// A GPU's bundle inside a program that has a current device and checks for errors of its own: `which` is hip or cuda;
/// the model is on device 1.
void check_guest(const char *bundle, const char *which);

void check_results(const char *bundle);
void check_sessions(const char *bundle);
/// A pass over the taps that is given up leaves the session as it was.
void check_observe(const char *bundle);
void check_generation(const char *bundle);
void check_concurrency(const char *bundle);
/// Of a bundle that drafts: what mode lossless writes is what mode exact does.
void check_drafting(const char *bundle);
/// How many workers take part beside other programs, and that logits are the same.
void check_threads(const char *bundle);
/// A child of fork() gets errors.
void check_fork(const char *bundle);
/// A bundle, copied to `scratch`, is cut while it is in use.
void check_cut(const char *bundle, const char *scratch);
/// Requests in company write what they write alone.
void check_batch(const char *bundle);
/// How prompts and texts share passes.
void check_shares();
/// What a batch keeps in the file `path`; a bundle of `other` cannot use it.
void check_cache_file(const char *bundle, const char *other, const char *path);
/// Penalties, biases, log-probabilities: against plain arithmetic.
void check_choices(const char *bundle);
/// Only what may come is chosen, whatever is foreseen.
void check_constraint(const char *bundle);
void check_sizes(const char *file);
void check_sampling();
/// What a GPU's bundle must do, on a device of `units` compute units.
void check_gpu(const char *bundle, const char *target, uint32_t units);
/// Opens, evaluates, generates, closes; prints "status step message" of the first step that fails, or "0 done ".
void print_gpu_run(const char *bundle);

#endif
