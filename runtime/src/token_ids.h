// Checks of token ids that come from outside.
#ifndef GSIC_SRC_TOKEN_IDS_H
#define GSIC_SRC_TOKEN_IDS_H

#include <cstddef>
#include <cstdint>

namespace gsic {

/// Throws GSIC_CONTEXT_FULL unless `count` tokens fit behind the `length` that a session holds.
void require_room(size_t count, size_t length, uint32_t context);

/// Throws GSIC_INVALID_ARGUMENT about the first id that is none of the model's.
void require_ids(const int32_t *ids, size_t count, uint32_t vocabulary);

}  // namespace gsic

#endif
