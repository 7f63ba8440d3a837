// gsic-tool logits BUNDLE --ids-file F --out F.safetensors [--mode M] [--threads N]
// Tensor `logits` [T, vocabulary] f32 of one sequence.
#include "arguments.h"
#include "safetensors.h"
#include "session.h"

namespace gsic {

void run_logits(const Arguments &arguments) {
  const std::vector<int32_t> ids = arguments.ids();
  const auto model = arguments.open_model();
  Session session(model, arguments.text("mode", ""));
  const uint64_t vocabulary = model->manifest().vocabulary;
  SafetensorsWriter file(arguments.text("out"), {{"logits", "F32", {ids.size(), vocabulary}}}, arguments.metadata());
  Progress progress(ids.size());
  session.evaluate(ids.data(), ids.size(), ids.size(), [&](size_t index, const float *logits) {
    file.write(logits, vocabulary * sizeof(float));
    progress.report(index + 1);
  });
  file.finish();
}

}  // namespace gsic
