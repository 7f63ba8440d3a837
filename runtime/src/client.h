// What C++ programs do over the C interface: they own its handles, and ask for the ids of texts.
#ifndef GSIC_SRC_CLIENT_H
#define GSIC_SRC_CLIENT_H

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "gsic.h"

namespace gsic {

struct Closer {
  void operator()(gsic_model *model) const { gsic_close(model); }
  void operator()(gsic_session *session) const { gsic_session_close(session); }
};
using OwnedModel = std::unique_ptr<gsic_model, Closer>;
using OwnedSession = std::unique_ptr<gsic_session, Closer>;

/// Tokens that are evaluated between two looks at whether to stop: a multiple of what a pass takes.
constexpr size_t kStopInterval = 64;

/// Puts the ids of a text into `ids`; what gsic_encode_as returns. Most texts have fewer tokens than bytes; of one that
/// has more, it asks again with the room that it says.
inline gsic_status encode(const gsic_model *model, std::string_view text, const gsic_encoding &encoding,
                          std::vector<int32_t> &ids) {
  size_t count = text.size() + 16;
  for (;;) {
    ids.resize(count);
    const gsic_status status = gsic_encode_as(model, text.data(), text.size(), &encoding, ids.data(), &count);
    const bool small = status == GSIC_INVALID_ARGUMENT && count > ids.size();
    if (small) continue;
    ids.resize(status == GSIC_OK ? count : 0);
    return status;
  }
}

}  // namespace gsic

#endif
