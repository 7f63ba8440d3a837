// whole_model MODE ID...: the logits of the last of these tokens, one a line.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "gsic.hpp"

int main(int count, char **arguments) try {
  if (count < 3) throw std::runtime_error("give a mode and token ids: whole_model exact 5 17 3");
  std::vector<int32_t> ids;
  for (int i = 2; i < count; i++) ids.push_back(std::stoi(arguments[i]));
  const auto model = example::open_model(GSIC_BUNDLE);
  gsic_model_info info = {};
  example::check(gsic_describe(model.get(), &info));
  const auto session = example::open_session(model.get(), arguments[1]);
  std::vector<float> logits(info.vocabulary);
  example::check(gsic_evaluate(session.get(), ids.data(), ids.size(), logits.data(), 1));
  for (float logit : logits) std::printf("%.9g\n", double(logit));
  return 0;
} catch (const std::exception &error) {
  std::fprintf(stderr, "whole_model: %s\n", error.what());
  return 1;
}
