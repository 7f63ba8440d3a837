// gsic-tool bench BUNDLE [--tokens 64] [--repeat 5] [--prefill 512] [--mode M] [--ids-file F] [--threads N]
// One JSON document on standard output. Every repetition measures the read ceiling, then each mode in turn: so that
// a change of the machine's speed meets all of them. Decoding is greedy from a prompt of 16 tokens (of --ids-file,
// else fixed ids); the cost of choosing a token is included. Times are seconds, rates per second. On a GPU the bundle's
// own kernel `gsic_read` measures the ceiling (device_ceiling.h); in a bundle without it, what depends on it is null.
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "arguments.h"
#include "device_ceiling.h"
#include "generate.h"
#include "read_ceiling.h"
#include "samples.h"
#include "session.h"

namespace gsic {
namespace {

using nlohmann::ordered_json;

constexpr size_t kPromptTokens = 16;
/// Beyond any cache; a larger buffer would take the memory that the mapped weights of a large model stand in.
constexpr size_t kLeastCeilingBytes = size_t(512) << 20, kMostCeilingBytes = size_t(1) << 30;

/// One mode while it is measured.
struct Subject {
  Subject(const std::shared_ptr<const Model> &model, const std::string &name) : mode(name), session(model, name) {}
  std::string mode;
  Session session;
  Samples decode, prefill;
};

/// Tokens for a prompt: those of --ids-file, else spread over the vocabulary.
std::vector<int32_t> prompt_ids(const Arguments &arguments, const Model &model, size_t count) {
  std::vector<int32_t> ids;
  if (!arguments.text("ids-file", "").empty()) ids = arguments.ids();
  const size_t given = ids.size();
  for (size_t i = given; i < count; i++)
    ids.push_back(given > 0 ? ids[i % given] : int32_t((i * 7919 + 11) % model.manifest().vocabulary));
  ids.resize(count);
  return ids;
}

void measure_decode(Subject &subject, const std::vector<int32_t> &prompt, size_t tokens) {
  subject.session.rewind(0);
  int32_t id = subject.session.choose(prompt.data(), prompt.size());
  const double start = now();
  for (size_t i = 0; i < tokens; i++) id = subject.session.choose(&id, 1);
  subject.decode.add(double(tokens) / (now() - start));
}

void measure_prefill(Subject &subject, const std::vector<int32_t> &prompt) {
  subject.session.rewind(0);
  const double start = now();
  subject.session.choose(prompt.data(), prompt.size());
  subject.prefill.add(double(prompt.size()) / (now() - start));
}

ordered_json describe(const Subject &subject, double bytes, const Samples &ceiling) {
  uint64_t fast = 0, slow = 0;
  for (size_t i = 0; i < subject.session.tiers().size(); i++) {
    const auto [closed, open] = subject.session.tier(i);
    fast += closed;
    slow += open;
  }
  return {{"decode_tokens_per_second", subject.decode.json()},
          {"prefill_tokens_per_second", subject.prefill.json()},
          {"bytes_per_token", bytes},
          {"bytes_per_second", bytes * subject.decode.median()},
          {"share_of_ceiling",
           ceiling.empty() ? ordered_json() : ordered_json(bytes * subject.decode.median() / ceiling.median())},
          {"launches", subject.session.program().body.size() + subject.session.program().head.size()},
          {"tiers", {{"fast", fast}, {"slow", slow}}}};
}

}  // namespace

void run_bench(const Arguments &arguments) {
  const auto model = arguments.open_model();
  const Manifest &manifest = model->manifest();
  const size_t repeat = arguments.number("repeat", 1, 1000, 5);
  const size_t prompt = std::min<size_t>(kPromptTokens, manifest.context);
  const size_t tokens = std::min<size_t>(arguments.number("tokens", 1, 1u << 20, 64), manifest.context - prompt);
  const size_t prefill = std::min<size_t>(arguments.number("prefill", 1, 1u << 20, 512), manifest.context);
  const std::vector<int32_t> ids = prompt_ids(arguments, *model, std::max(prefill, prompt));
  const std::vector<int32_t> short_prompt(ids.begin(), ids.begin() + prompt), long_prompt(ids.begin(), ids.begin() + prefill);
  const std::string only = arguments.text("mode", "");

  std::vector<std::unique_ptr<Subject>> subjects;
  for (const std::string &mode : only.empty() ? manifest.modes : std::vector<std::string>{only})
    subjects.push_back(std::make_unique<Subject>(model, mode));
  std::optional<ReadCeiling> buffer;
  std::optional<DeviceCeiling> device;
  if (model->target().device == DeviceKind::cpu)
    buffer.emplace(std::clamp<size_t>(manifest.buffer(Buffer::weights), kLeastCeilingBytes, kMostCeilingBytes));
  else if (const auto kernel = DeviceCeiling::kernel(manifest))
    device.emplace(*model, *kernel);
  Samples ceiling, launch;
  for (auto &subject : subjects) measure_decode(*subject, short_prompt, std::min<size_t>(tokens, 4));  // warms up
  for (auto &subject : subjects) subject->decode.values.clear();
  Progress progress(repeat);
  for (size_t i = 0; i < repeat; i++) {
    if (buffer) ceiling.add(buffer->measure(model->device()));
    if (buffer) launch.add(launch_seconds(model->device()));
    if (device) device->sample();
    for (size_t j = 0; j < subjects.size(); j++) {
      Subject &subject = *subjects[(i + j) % subjects.size()];
      measure_decode(subject, short_prompt, tokens);
      measure_prefill(subject, long_prompt);
    }
    progress.report(i + 1);
  }
  ordered_json document = {{"model", manifest.name},
                           {"target", model->target().name},
                           {"device", model->device().name()},
                           {"threads", model->device().threads()},
                           {"tokens", tokens},
                           {"prefill", prefill},
                           {"repeat", repeat}};
  DeviceCeiling::describe(device ? &*device : nullptr, document);
  if (buffer) {
    document["read_ceiling_bytes"] = buffer->bytes();
    document["read_ceiling_bytes_per_second"] = ceiling.json();
    document["seconds_per_empty_launch"] = launch.json();
  }
  document["modes"] = ordered_json::object();
  for (const auto &subject : subjects)
    document["modes"][subject->mode] = describe(*subject, manifest.bytes_per_token.at(subject->mode), device ? device->bandwidth() : ceiling);
  std::cout << document.dump(2) << std::endl;
}

}  // namespace gsic
