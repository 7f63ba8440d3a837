// What is wrong with a tokenizer's section of a bundle.
#ifndef GSIC_SRC_TOKENIZER_ERROR_H
#define GSIC_SRC_TOKENIZER_ERROR_H

#include <stdexcept>
#include <string>

namespace gsic {

[[noreturn]] inline void malformed(const std::string &what) { throw std::runtime_error("tokenizer section: " + what); }

}  // namespace gsic

#endif
