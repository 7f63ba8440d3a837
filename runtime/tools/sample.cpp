// gsic-tool sample BUNDLE --count N --tokens T --out ids.bin [--seed S] [--temperature 1] [--mode M] [--threads N]
// N sequences of T tokens that the model itself writes, as int32. Each begins with the tokenizer's begin-of-text
// token, else its end-of-text token, else a token drawn uniformly; an end of text inside does not end a sequence.
#include <cstdio>
#include <memory>
#include <random>

#include "arguments.h"
#include "error.h"
#include "sampler.h"
#include "session.h"

namespace gsic {
namespace {

int32_t first_token(const Model &model, std::mt19937_64 &generator) {
  const Tokenizer *tokenizer = model.tokenizer();
  if (tokenizer != nullptr && tokenizer->bos() >= 0) return tokenizer->bos();
  if (tokenizer != nullptr && tokenizer->eos() >= 0) return tokenizer->eos();
  return int32_t(generator() % model.manifest().vocabulary);
}

void write_file(const std::string &path, const std::vector<int32_t> &ids) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen(path.c_str(), "wb"), std::fclose);
  if (!file || std::fwrite(ids.data(), sizeof(int32_t), ids.size(), file.get()) != ids.size() ||
      std::fflush(file.get()) != 0)
    throw OutputError(path, system_error_text());
}

}  // namespace

void run_sample(const Arguments &arguments) {
  const auto model = arguments.open_model();
  const uint32_t context = model->manifest().context, vocabulary = model->manifest().vocabulary;
  const size_t count = arguments.number("count", 1, 1u << 24), tokens = arguments.number("tokens", 1, context);
  gsic_sampling sampling = {};
  sampling.temperature = float(arguments.real("temperature", 1));
  sampling.seed = arguments.number("seed", 0, UINT64_MAX, 0);
  Sampler sampler(sampling);
  std::mt19937_64 generator(sampling.seed);
  Session session(model, arguments.text("mode", ""));
  Progress progress(count * tokens);
  std::vector<int32_t> ids;
  for (size_t i = 0; i < count; i++) {
    session.rewind(0);
    ids.push_back(first_token(*model, generator));
    for (size_t j = 1; j < tokens; j++) {
      const int32_t last = ids.back();
      // The place among all tokens, so that no sequence repeats another's draws.
      session.evaluate(&last, 1, 1, [&](size_t, const float *logits) {
        ids.push_back(sampler.pick(logits, vocabulary, ids.size()).id);
      });
      progress.report(ids.size());
    }
  }
  write_file(arguments.text("out"), ids);
}

}  // namespace gsic
