// check run BUNDLE: everything that must work. check open FILE...: one line "status message" for each file.
// check gpu BUNDLE TARGET UNITS: everything that must work on a GPU.
// check gpu-run BUNDLE: what fails first, if anything.
// check fork BUNDLE, check cut BUNDLE SCRATCH: what others may do to a process.
// check batch BUNDLE: requests in company against the same alone, and choices against plain arithmetic.
// check cache BUNDLE OTHER FILE: a cache that is kept in FILE, which bundle OTHER cannot use.
// check threads BUNDLE: how many workers take part beside other programs, and that nothing but time depends on it.
// check sizes VECTORS: the arithmetic on sizes against size-vectors.json.
// check damage BUNDLE SCRATCH FROM TO: flips each byte of BUNDLE from FROM to TO - 1 in a copy; one line each.
#include "check.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

std::vector<int32_t> some_ids(size_t count, int seed) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < count; i++) ids.push_back(int32_t((i * i * 5 + i * 3 + size_t(seed) * 7) % kVocabulary));
  return ids;
}

std::vector<float> expected_logits(const std::vector<int32_t> &ids) {
  const auto table = [](int token, int i) { return float((7 * token + 3 * i) % 11 - 5) / 8; };
  std::vector<float> logits;
  float y[kWidth] = {};
  for (const int32_t id : ids) {
    for (int i = 0; i < kWidth; i++) y[i] = y[i] * 0.5f + table(id, i);
    for (int v = 0; v < kVocabulary; v++) {
      float sum = 0;
      for (int i = 0; i < kWidth; i++) sum += table(v, i) * y[i];
      logits.push_back(sum);
    }
  }
  return logits;
}

namespace {

void print_opening(const char *path) {
  gsic_model *model = nullptr;
  const gsic_status status = gsic_open(path, nullptr, &model);
  CHECK((status == GSIC_OK) == (model != nullptr));
  std::printf("%d %s\n", int(status), status == GSIC_OK ? "" : gsic_last_error());
  gsic_close(model);
}

void damage(const char *bundle, const char *scratch, size_t from, size_t to) {
  std::ifstream input(bundle, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(input)), std::istreambuf_iterator<char>());
  CHECK(to <= good.size());
  for (size_t i = from; i < to; i++) {
    std::string bad = good;
    bad[i] = char(bad[i] ^ (1 << (i % 8)));
    std::ofstream(scratch, std::ios::binary) << bad;
    print_opening(scratch);
  }
}

}  // namespace

int main(int count, char **arguments) {
  CHECK(count > 2);
  const std::string what = arguments[1];
  if (what == "run") {
    check_results(arguments[2]);
    check_sessions(arguments[2]);
    check_observe(arguments[2]);
    check_generation(arguments[2]);
    check_concurrency(arguments[2]);
    check_sampling();
  } else if (what == "batch") {
    check_shares();
    check_batch(arguments[2]);
    check_choices(arguments[2]);
    check_constraint(arguments[2]);
  } else if (what == "cache") {
    CHECK(count == 5);
    check_cache_file(arguments[2], arguments[3], arguments[4]);
  } else if (what == "drafting") {
    check_drafting(arguments[2]);
  } else if (what == "threads") {
    check_threads(arguments[2]);
  } else if (what == "gpu") {
    CHECK(count == 5);
    check_gpu(arguments[2], arguments[3], uint32_t(std::atol(arguments[4])));
    check_observe(arguments[2]);
    check_generation(arguments[2]);
    check_concurrency(arguments[2]);
  } else if (what == "gpu-run") {
    print_gpu_run(arguments[2]);
  } else if (what == "fork") {
    check_fork(arguments[2]);
  } else if (what == "cut") {
    CHECK(count == 4);
    check_cut(arguments[2], arguments[3]);
  } else if (what == "gpu-guest") {
    CHECK(count == 4);
    check_guest(arguments[2], arguments[3]);
  } else if (what == "sizes") {
    check_sizes(arguments[2]);
  } else if (what == "damage") {
    CHECK(count == 6);
    damage(arguments[2], arguments[3], size_t(std::atol(arguments[4])), size_t(std::atol(arguments[5])));
  } else {
    CHECK(what == "open");
    for (int i = 2; i < count; i++) print_opening(arguments[i]);
  }
  return 0;
}
