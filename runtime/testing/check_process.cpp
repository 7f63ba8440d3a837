// What others do to a process that has a model open: it is forked, and the file that it maps is cut.
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "check.h"

namespace {

bool last_error_has(const char *text) { return std::string(gsic_last_error()).find(text) != std::string::npos; }

/// What a child of fork() can do with its parent's model: nothing, without waiting. Its exit code.
int use_in_child(gsic_model *model, gsic_session *session) {
  // What hangs is ended by the alarm, and is no exit.
  alarm(60);
  const int32_t id = 3;
  int32_t made = 0;
  if (gsic_evaluate(session, &id, 1, nullptr, 0) != GSIC_INVALID_ARGUMENT || !last_error_has("forked")) return 1;
  if (gsic_generate(session, &id, 1, 1, nullptr, nullptr, nullptr, &made, nullptr) != GSIC_INVALID_ARGUMENT) return 2;
  gsic_session *other = nullptr;
  if (gsic_session_open(model, nullptr, &other) != GSIC_OK) return 3;
  if (gsic_evaluate(other, &id, 1, nullptr, 0) != GSIC_INVALID_ARGUMENT) return 4;
  gsic_session_close(other);
  gsic_session_close(session);
  gsic_close(model);
  return 0;
}

}  // namespace

void check_fork(const char *bundle) {
  for (const uint32_t threads : {1u, 3u}) {
    gsic_model *model = open_model(bundle, threads);
    gsic_session *session = open_session(model, nullptr);
    const int32_t id = 3;
    CHECK(gsic_evaluate(session, &id, 1, nullptr, 0) == GSIC_OK);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) _exit(use_in_child(model, session));
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(gsic_evaluate(session, &id, 1, nullptr, 0) == GSIC_OK);
    gsic_session_close(session);
    gsic_close(model);
  }
}

void check_cut(const char *bundle, const char *scratch) {
  {
    std::ifstream from(bundle, std::ios::binary);
    std::ofstream(scratch, std::ios::binary) << from.rdbuf();
  }
  gsic_open_options options = {};
  options.threads = 2;
  options.skip_verification = 1;
  gsic_model *model = nullptr;
  CHECK(gsic_open(scratch, &options, &model) == GSIC_OK);
  gsic_session *session = open_session(model, nullptr);
  gsic_model *whole = open_model(bundle, 2);
  const std::vector<int32_t> ids = some_ids(20, 1);
  CHECK(gsic_evaluate(session, ids.data(), 3, nullptr, 0) == GSIC_OK);
  CHECK(truncate(scratch, 4096) == 0);
  for (int i = 0; i < 2; i++) {
    CHECK(gsic_evaluate(session, ids.data(), ids.size(), nullptr, 0) == GSIC_IO && last_error_has("was cut"));
    CHECK(gsic_session_length(session) == 3);
  }
  gsic_session_close(session);
  gsic_close(model);
  // Others in this process go on.
  check_logits(whole);
  gsic_close(whole);
}
