// What is measured behind: runs of tokens.
#ifndef GSIC_TOOLS_PROMPTS_H
#define GSIC_TOOLS_PROMPTS_H

#include <cstdint>
#include <vector>

#include "arguments.h"

namespace gsic {

/// Prompts of `length` tokens: from --ids-file one after the other, else one that is spread over the vocabulary.
class Prompts {
 public:
  Prompts(const Arguments &arguments, const Model &model, size_t length) : length_(length) {
    if (!arguments.text("ids-file", "").empty()) ids_ = arguments.ids();
    for (size_t i = ids_.size(); i < length; i++)
      ids_.push_back(int32_t((i * 7919 + 11) % model.manifest().vocabulary));
  }
  std::vector<int32_t> operator[](size_t index) const {
    const auto first = ids_.begin() + long(index % (ids_.size() / length_) * length_);
    return {first, first + long(length_)};
  }

 private:
  size_t length_;
  std::vector<int32_t> ids_;
};

}  // namespace gsic

#endif
