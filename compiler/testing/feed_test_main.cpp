// feed BUNDLE TARGET MODE THREADS CHUNKS IDS OUT [LIMIT]: evaluates int32 ids in passes of the given sizes
// (comma-separated, over and over), and writes the logits of all tokens, f32, to OUT, or asks for none if OUT is "-".
// Prints the tokens per tier: closed, open. With LIMIT it continues from ids greedily instead, and prints the new ids.
// For compiler/testing/kernels.ts.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "gsic.h"

static void check(gsic_status status) {
  if (status == GSIC_OK) return;
  std::fprintf(stderr, "feed: %s\n", gsic_last_error());
  std::exit(1);
}

/// Prints the `limit` most likely tokens after a prompt.
static void generate(gsic_session *session, const int32_t *ids, size_t tokens, size_t limit) {
  std::vector<int32_t> found(limit);
  const gsic_sampling greedy = {};
  check(gsic_generate(session, ids, tokens, limit, &greedy, nullptr, nullptr, found.data(), &limit));
  for (size_t i = 0; i < limit; i++) std::printf("%s%d", i > 0 ? " " : "", found[i]);
  std::printf("\n");
}

int main(int count, char **arguments) {
  if (count != 8 && count != 9) return 2;
  std::ifstream file(arguments[6], std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto *ids = reinterpret_cast<const int32_t *>(bytes.data());
  const size_t tokens = bytes.size() / sizeof(int32_t);
  std::vector<size_t> chunks;
  std::istringstream list(arguments[5]);
  for (std::string one; std::getline(list, one, ',');) chunks.push_back(std::stoul(one));

  gsic_open_options options = {};
  options.target = arguments[2];
  options.threads = uint32_t(std::stoul(arguments[4]));
  gsic_model *model = nullptr;
  gsic_session *session = nullptr;
  gsic_model_info info = {};
  check(gsic_open(arguments[1], &options, &model));
  check(gsic_describe(model, &info));
  check(gsic_session_open(model, arguments[3], &session));
  if (count == 9) {
    generate(session, ids, tokens, std::stoul(arguments[8]));
    gsic_session_close(session);
    gsic_close(model);
    return 0;
  }
  const bool wanted = std::string(arguments[7]) != "-";
  std::vector<float> logits(wanted ? tokens * info.vocabulary : 0);
  for (size_t done = 0, turn = 0; done < tokens; turn++) {
    const size_t part = std::min(chunks[turn % chunks.size()], tokens - done);
    check(gsic_evaluate(session, ids + done, part, wanted ? logits.data() + done * info.vocabulary : nullptr,
                        wanted ? part : 0));
    done += part;
  }
  uint64_t closed = 0, open = 0;
  check(gsic_gate_counts(session, &closed, &open));
  std::printf("%llu %llu\n", static_cast<unsigned long long>(closed), static_cast<unsigned long long>(open));
  if (wanted)
    std::ofstream(arguments[7], std::ios::binary)
        .write(reinterpret_cast<const char *>(logits.data()), std::streamsize(logits.size() * sizeof(float)));
  gsic_session_close(session);
  gsic_close(model);
  return 0;
}
