// Speculative decoding: tokens are proposed cheaply, and verified by the program that decides, several in one pass.
#ifndef GSIC_SRC_SPECULATE_H
#define GSIC_SRC_SPECULATE_H

#include <vector>

#include "chooser.h"
#include "session.h"

namespace gsic {

/// One round in a session whose last token is not evaluated yet. Proposals come from the session's draft program, or
/// from an earlier place of the same text that began alike. The program that decides evaluates the last token and all
/// proposals in one pass, and `chooser` chooses from its logits, as it would without proposals: kernels give each
/// column the same bits however many run together, so the tokens are the same. What it chose up to and including the
/// first that was not proposed is the result, 1 to `most` tokens. The session then holds all of them but the last, with
/// the cache entries of the program that decides. `end`: a token that is not proposed beyond, or -1. Throws as
/// Session::evaluate.
std::vector<int32_t> speculate(Session &session, Chooser &chooser, size_t most, int32_t end);

}  // namespace gsic

#endif
