// Text generation: evaluate, choose, show, repeat.
#ifndef GSIC_SRC_GENERATE_H
#define GSIC_SRC_GENERATE_H

#include <functional>
#include <string>
#include <vector>

#include "chooser.h"
#include "session.h"

namespace gsic {

/// Called with each token and the text that can be shown after it. False stops.
using TokenVisitor = std::function<bool(int32_t id, const std::string &text)>;

/// Why generation ended.
enum class End { limit, end_of_text, context, stopped };

/// Appends the prompt and generates up to `limit` tokens; the token that ends the text is neither shown nor
/// appended. Afterwards the session holds the prompt and every token that was shown. Throws as Session::evaluate;
/// GSIC_INVALID_ARGUMENT for an empty prompt.
End generate(Session &session, const std::vector<int32_t> &prompt, size_t limit, Chooser &chooser,
             const TokenVisitor &visit);

}  // namespace gsic

#endif
