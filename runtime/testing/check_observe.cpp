// A session after a pass over its taps that was given up.
#include <cstring>
#include <stdexcept>

#include "check.h"
#include "session.h"

namespace {

/// Thrown by a visitor.
struct Enough : std::runtime_error {
  Enough() : std::runtime_error("enough") {}
};

/// Observes ids, and gives up at the tap that is shown after `most` others. Whether it did.
bool observe(gsic::Session &session, const int32_t *ids, size_t count, size_t most) {
  size_t shown = 0;
  const auto visit = [&](size_t, const float *, uint32_t) {
    if (shown++ == most) throw Enough();
  };
  try {
    session.observe(ids, count, 0, session.program().taps.size(), visit);
    return false;
  } catch (const Enough &) {
    return true;
  }
}

}  // namespace

void check_observe(const char *bundle) {
  gsic::Session session(std::make_shared<const gsic::Model>(bundle, gsic::OpenOptions{}), "exact");
  const std::vector<int32_t> ids = some_ids(20, 7);
  constexpr size_t before = 3;  // what follows is two passes, each of which shows both taps
  const int32_t *later = ids.data() + before;
  const size_t count = ids.size() - before;
  session.evaluate(ids.data(), before, 0, {});
  for (size_t most = 0; most < 4; most++) {
    CHECK(observe(session, later, count, most));
    CHECK(session.length() == before);
  }
  // It goes on as if nothing had been tried.
  session.evaluate(later, count, 1, [&](size_t, const float *logits) {
    const std::vector<float> expected = expected_logits(ids);
    CHECK(std::memcmp(logits, &expected[(ids.size() - 1) * kVocabulary], kVocabulary * sizeof(float)) == 0);
  });
  session.rewind(before);
  CHECK(!observe(session, later, count, 4));
  CHECK(session.length() == ids.size());
}
