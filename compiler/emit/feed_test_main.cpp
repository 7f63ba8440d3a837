// feed BUNDLE TARGET MODE THREADS CHUNKS IDS OUT: evaluates int32 ids in passes of the given sizes (comma-separated, over
// and over), and writes the logits of all tokens, f32, to OUT, or asks for none if OUT is "-". Prints the tokens per
// tier: closed, open. For compiler/emit/kernel-testing.ts.
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

int main(int count, char **arguments) {
  if (count != 8) return 2;
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
  const bool wanted = std::string(arguments[7]) != "-";
  std::vector<float> logits(wanted ? tokens * info.vocabulary : 0);
  for (size_t done = 0, turn = 0; done < tokens; turn++) {
    const size_t part = std::min(chunks[turn % chunks.size()], tokens - done);
    check(gsic_evaluate(session, ids + done, part, wanted ? logits.data() + done * info.vocabulary : nullptr,
                        wanted ? part : 0));
    done += part;
  }
  uint64_t fast = 0, slow = 0;
  check(gsic_tier_counts(session, &fast, &slow));
  std::printf("%llu %llu\n", static_cast<unsigned long long>(fast), static_cast<unsigned long long>(slow));
  if (wanted)
    std::ofstream(arguments[7], std::ios::binary)
        .write(reinterpret_cast<const char *>(logits.data()), std::streamsize(logits.size() * sizeof(float)));
  gsic_session_close(session);
  gsic_close(model);
  return 0;
}
