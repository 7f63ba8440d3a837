#include "token_ids.h"

#include "error.h"

namespace gsic {

void require_room(size_t count, size_t length, uint32_t context) {
  if (count > context - length)
    throw Error(GSIC_CONTEXT_FULL,
                std::to_string(count) + " tokens do not fit: the session holds " + std::to_string(length) + " of " +
                    std::to_string(context) + " tokens",
                "rewind it, or give fewer tokens");
}

void require_ids(const int32_t *ids, size_t count, uint32_t vocabulary) {
  for (size_t i = 0; i < count; i++)
    if (ids[i] < 0 || uint32_t(ids[i]) >= vocabulary)
      throw Error(GSIC_INVALID_ARGUMENT, "token " + std::to_string(i) + " is id " + std::to_string(ids[i]),
                  "ids of this model go from 0 to " + std::to_string(vocabulary - 1));
}

}  // namespace gsic
