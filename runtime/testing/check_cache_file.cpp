// A kept cache: what a request writes behind what was read from it is what it writes without, and nothing but a whole
// file of the same model is read.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "check.h"
#include "memory.h"

namespace {

/// What a request wrote.
struct Written {
  std::vector<int32_t> ids;
  std::vector<float> log_probabilities;
  bool ended = false;
  bool operator==(const Written &other) const {
    return ids == other.ids && log_probabilities.size() == other.log_probabilities.size() &&
           std::memcmp(log_probabilities.data(), other.log_probabilities.data(), 4 * ids.size()) == 0;
  }
};

int note(const gsic_event *event, void *user) {
  Written &written = *static_cast<Written *>(user);
  CHECK(event->status == GSIC_OK);
  written.ended = event->end != GSIC_END_NONE;
  if (written.ended) return 0;
  written.ids.push_back(event->id);
  written.log_probabilities.push_back(event->log_probability);
  return 0;
}

gsic_batch *open_batch(gsic_model *model, const char *mode, uint64_t bytes) {
  const gsic_batch_options options = {mode, bytes};
  gsic_batch *batch = nullptr;
  CHECK(gsic_batch_open(model, &options, &batch) == GSIC_OK);
  return batch;
}

gsic_batch_counts counts_of(const gsic_batch *batch) {
  gsic_batch_counts counts;
  CHECK(gsic_batch_count(batch, &counts) == GSIC_OK);
  return counts;
}

/// What all prompts are answered with, together.
std::vector<Written> write(gsic_batch *batch, const std::vector<std::vector<int32_t>> &prompts) {
  std::vector<Written> all(prompts.size());
  for (size_t i = 0; i < prompts.size(); i++) {
    gsic_request request = {};
    request.prompt = prompts[i].data();
    request.prompt_count = prompts[i].size();
    request.limit = 10;
    request.sampling.temperature = i % 2 == 0 ? 0 : 1;
    request.sampling.seed = i;
    request.log_probabilities = 1;
    request.callback = note;
    request.user = &all[i];
    uint64_t ticket = 0;
    CHECK(gsic_batch_submit(batch, &request, &ticket) == GSIC_OK);
  }
  const auto ended = [](const Written &one) { return one.ended; };
  for (int runs = 0; !std::all_of(all.begin(), all.end(), ended); runs++) {
    CHECK(runs < 10000);
    CHECK(gsic_batch_run(batch, 0) == GSIC_OK);
  }
  return all;
}

std::string bytes_of(const char *path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool last_error_has(const char *text) { return std::string(gsic_last_error()).find(text) != std::string::npos; }

/// Two that begin alike, one that continues the first, and one of its own.
std::vector<std::vector<int32_t>> some_prompts() {
  std::vector<std::vector<int32_t>> prompts = {some_ids(30, 1), some_ids(22, 1), some_ids(41, 1), some_ids(19, 2)};
  prompts[1].push_back(3);
  return prompts;
}

/// The cache of texts, read again: all of it, and as much as there is room for.
void check_kept(gsic_model *model, const char *mode, const char *path) {
  const auto prompts = some_prompts();
  gsic_batch *batch = open_batch(model, mode, 0);
  uint64_t saved = 0, loaded = 1;
  CHECK(gsic_batch_save_cache(batch, path, &saved) == GSIC_OK && saved == 0);
  CHECK(gsic_batch_load_cache(batch, path, &loaded) == GSIC_OK && loaded == 0);
  const std::vector<Written> expected = write(batch, prompts);
  CHECK(gsic_batch_save_cache(batch, path, &saved) == GSIC_OK && saved >= 60);
  CHECK(gsic_batch_load_cache(batch, path, nullptr) == GSIC_INVALID_ARGUMENT && last_error_has("before the first"));
  const uint64_t kept = counts_of(batch).blocks_kept;
  gsic_batch_close(batch);
  // All of it; a context, which has room for a part.
  for (const uint64_t bytes : {uint64_t(0), uint64_t(2048)}) {
    gsic_batch *again = open_batch(model, mode, bytes);
    CHECK(gsic_batch_load_cache(again, path, &loaded) == GSIC_OK);
    CHECK(bytes == 0 ? loaded == saved : loaded > 0 && loaded < saved);
    const gsic_batch_counts before = counts_of(again);
    CHECK(before.blocks_held == 0 && before.blocks_kept == (bytes == 0 ? kept : before.blocks));
    CHECK(write(again, prompts) == expected);
    const gsic_batch_counts counts = counts_of(again);
    CHECK(counts.shared_tokens > 0 && counts.blocks_held == 0);
    // Hardly more than the last token of each prompt is computed, where all was kept.
    if (bytes == 0) CHECK(counts.prompt_tokens <= 3 * prompts.size());
    gsic_batch_close(again);
  }
  // What is saved again is the same, whatever order it was found in.
  gsic_batch *again = open_batch(model, mode, 0);
  CHECK(gsic_batch_load_cache(again, path, nullptr) == GSIC_OK);
  const std::string first = bytes_of(path);
  CHECK(gsic_batch_save_cache(again, path, nullptr) == GSIC_OK && bytes_of(path) == first);
  gsic_batch_close(again);
}

void write_bytes(const char *path, const std::string &bytes) { std::ofstream(path, std::ios::binary) << bytes; }

/// Cut files, and files with a byte that is another.
void check_damaged(gsic_model *model, const char *path) {
  const std::string good = bytes_of(path);
  gsic_batch *batch = open_batch(model, "exact", 0);
  std::vector<std::string> bad = {"", good.substr(0, 31), good + "x"};
  for (size_t at = 0; at < good.size(); at += at < 400 ? 1 : 97) {
    bad.push_back(good.substr(0, at));
    bad.push_back(good);
    bad.back()[at] = char(bad.back()[at] ^ 4);
  }
  for (const std::string &bytes : bad) {
    write_bytes(path, bytes);
    CHECK(gsic_batch_load_cache(batch, path, nullptr) == GSIC_BAD_BUNDLE && last_error_has(path));
    CHECK(counts_of(batch).blocks_kept == 0);
  }
  write_bytes(path, good);
  CHECK(gsic_batch_load_cache(batch, path, nullptr) == GSIC_OK);
  // Where nothing can be written, the file that was there stays.
  const std::string inside = std::string(path) + "/no-folder";
  CHECK(gsic_batch_save_cache(batch, inside.c_str(), nullptr) == GSIC_IO && last_error_has("cannot be written"));
  const std::string folder = std::string(path).substr(0, std::string(path).rfind('/'));
  CHECK(gsic_batch_save_cache(batch, folder.c_str(), nullptr) == GSIC_IO && last_error_has("not a regular file"));
  CHECK(bytes_of(path) == good);
  gsic_batch_close(batch);
  gsic_batch *none = open_batch(model, "exact", 0);
  CHECK(gsic_batch_load_cache(none, inside.c_str(), nullptr) == GSIC_IO);
  CHECK(gsic_batch_load_cache(none, nullptr, nullptr) == GSIC_INVALID_ARGUMENT);
  gsic_batch_close(none);
}

/// Memory that is taken ahead is there, and holds what was written.
void check_populated() {
  constexpr size_t kBytes = 5 << 20, kWritten = 70000;
  const gsic::Pages pages(kBytes, "a check");
  pages.data()[kWritten] = 7;
  pages.populate(1, kBytes);
  std::vector<unsigned char> resident(kBytes / size_t(sysconf(_SC_PAGESIZE)));
  CHECK(mincore(pages.data(), kBytes, resident.data()) == 0);
  const bool all = std::all_of(resident.begin(), resident.end(), [](unsigned char one) { return (one & 1) != 0; });
  constexpr int kPopulateWrite = 23;
  CHECK(all || madvise(pages.data(), kBytes, kPopulateWrite) != 0);
  CHECK(pages.data()[kWritten] == 7 && pages.data()[kBytes - 1] == 0);
}

}  // namespace

void check_cache_file(const char *bundle, const char *other, const char *path) {
  check_populated();
  gsic_model *model = open_model(bundle, 2);
  gsic_model_info info;
  CHECK(gsic_describe(model, &info) == GSIC_OK);
  const bool drafts = std::string(info.modes).find("lossless") != std::string::npos;
  check_kept(model, drafts ? "lossless" : "bounded", path);
  gsic_batch *exact = open_batch(model, "exact", 0);
  // One program decides lossless and exact mode.
  const gsic_status status = gsic_batch_load_cache(exact, path, nullptr);
  CHECK(drafts ? status == GSIC_OK : status == GSIC_BAD_BUNDLE && last_error_has("another mode"));
  gsic_batch_close(exact);
  check_kept(model, "exact", path);
  check_damaged(model, path);
  gsic_model *another = open_model(other, 1);
  gsic_batch *batch = open_batch(another, "exact", 0);
  CHECK(gsic_batch_load_cache(batch, path, nullptr) == GSIC_BAD_BUNDLE && last_error_has("another build"));
  gsic_batch_close(batch);
  gsic_close(another);
  gsic_close(model);
}
