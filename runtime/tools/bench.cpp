// gsic-tool bench BUNDLE [--tokens 64] [--repeat 5] [--prompt 16] [--prefill 512] [--mode M] [--ids-file F]
//                 [--draft-length K] [--threads N]
// One JSON document on standard output. Every repetition measures the read ceiling, then each mode in turn, all from
// the same prompt: so that a change of the machine's speed meets all of them. Prompts are consecutive runs of
// --ids-file, one for each repetition, over and over where there are too few; without it, fixed ids. Decoding is
// greedy; the cost of choosing a token is included, that of the prompt is not, and what drafting learned is forgotten
// before each prompt. --draft-length fixes how many tokens are drafted. Times are seconds, rates per second. On a GPU
// the bundle's own kernel `gsic_read` measures the ceiling (device_ceiling.h); in a bundle without it, what depends on
// it is null.
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "arguments.h"
#include "device_ceiling.h"
#include "generate.h"
#include "prompts.h"
#include "read_ceiling.h"
#include "samples.h"
#include "session.h"

namespace gsic {
namespace {

using nlohmann::ordered_json;

/// One mode while it is measured.
struct Subject {
  Subject(const std::shared_ptr<const Model> &model, const std::string &name) : mode(name), session(model, name) {}
  std::string mode;
  Session session;
  Samples decode, prefill, first_token;
  /// Of the rate of `exact` in the same repetition.
  Samples ratio;
  /// Tokens, and those of them that are `exact`'s at the same place.
  uint64_t tokens = 0, alike = 0;
  DraftCounts drafts;
};

/// What one repetition wrote.
struct Written {
  std::vector<int32_t> ids;
  double rate = 0;
};

Written measure_decode(Subject &subject, const std::vector<int32_t> &prompt, size_t tokens, size_t draft_length) {
  subject.session.rewind(0);
  subject.session.draft_policy() = DraftPolicy(draft_length);
  Chooser greedy({}, subject.session.model().manifest().vocabulary);
  Written written;
  double first = 0;
  const auto note = [&](int32_t id, const std::string &) {
    if (written.ids.empty()) first = now();
    written.ids.push_back(id);
    return true;
  };
  const End end = generate(subject.session, prompt, tokens, greedy, note);
  // The token that ends the text was computed, too.
  const size_t computed = written.ids.size() + (end == End::end_of_text ? 1 : 0);
  if (computed > 1 && !written.ids.empty()) written.rate = double(computed - 1) / (now() - first);
  return written;
}

void measure_prefill(Subject &subject, const std::vector<int32_t> &prompt) {
  subject.session.rewind(0);
  const double start = now();
  subject.session.choose(prompt.data(), prompt.size());
  subject.first_token.add(now() - start);
  subject.prefill.add(double(prompt.size()) / (now() - start));
}

void account_drafts(Subject &subject) {
  const DraftCounts &counts = subject.session.draft_policy().counts();
  subject.drafts.passes += counts.passes;
  subject.drafts.proposed += counts.proposed;
  subject.drafts.accepted += counts.accepted;
  subject.drafts.looked_up += counts.looked_up;
}

void account(Subject &subject, const Written &written, const Written *exact) {
  if (written.rate == 0) return;
  subject.decode.add(written.rate);
  subject.tokens += written.ids.size();
  if (exact == nullptr || exact->rate == 0) return;
  subject.ratio.add(written.rate / exact->rate);
  for (size_t i = 0; i < std::min(written.ids.size(), exact->ids.size()); i++)
    subject.alike += written.ids[i] == exact->ids[i];
}

ordered_json drafts_json(const Subject &subject) {
  if (!subject.session.drafts()) return nullptr;
  const DraftCounts &drafts = subject.drafts;
  const double passes = double(std::max<uint64_t>(1, drafts.passes));
  return {{"passes", drafts.passes},
          {"proposed", drafts.proposed},
          {"accepted", drafts.accepted},
          {"looked_up", drafts.looked_up},
          {"acceptance", double(drafts.accepted) / double(std::max<uint64_t>(1, drafts.proposed))},
          {"mean_length", double(drafts.proposed) / passes}};
}

/// `bytes` of weights a token, or none where it depends on what is accepted.
ordered_json describe(const Subject &subject, std::optional<double> bytes, const Samples &ceiling,
                      const Samples &launch) {
  uint64_t closed = 0, open = 0;
  for (size_t i = 0; i < subject.session.gates().size(); i++) {
    const auto [closed_here, open_here] = subject.session.gate_counts(i);
    closed += closed_here;
    open += open_here;
  }
  const Program &program = subject.session.program();
  const size_t launches =
      size_t(std::count_if(program.body.begin(), program.body.end(), [](const Launch &one) { return one.from == 0; })) +
      program.head.size();
  const double rate = subject.decode.empty() ? 0 : subject.decode.median();
  const auto known = [](bool is, double value) { return is ? ordered_json(value) : ordered_json(); };
  return {{"decode_tokens_per_second", subject.decode.json()},
          {"decode_ratio_to_exact", subject.ratio.json()},
          {"tokens", subject.tokens},
          {"tokens_as_exact", subject.alike},
          {"prefill_tokens_per_second", subject.prefill.json()},
          {"seconds_to_first_token", subject.first_token.json()},
          {"bytes_per_token", known(bytes.has_value(), bytes.value_or(0))},
          {"bytes_per_second", known(bytes.has_value(), bytes.value_or(0) * rate)},
          {"share_of_ceiling",
           known(bytes && !ceiling.empty(), ceiling.empty() ? 0 : bytes.value_or(0) * rate / ceiling.median())},
          {"launches", launches},
          {"share_of_launches",
           known(bytes && !launch.empty(), launch.empty() ? 0 : double(launches) * launch.median() * rate)},
          {"drafts", drafts_json(subject)},
          {"gates", {{"closed", closed}, {"open", open}}}};
}

/// What bounds a token's time on the model's device.
class Ceiling {
 public:
  explicit Ceiling(const Model &model) : model_(model) {
    if (model.target().device == DeviceKind::cpu)
      host_.emplace(model.manifest());
    else if (const auto kernel = DeviceCeiling::kernel(model.manifest()))
      device_.emplace(model, *kernel);
  }
  void sample() {
    if (host_) host_->sample(model_.device());
    if (device_) device_->sample();
  }
  /// Adds to a document what was sampled, and the share of the weights that lies in huge pages.
  void describe(ordered_json &document) const {
    if (host_)
      host_->describe(document);
    else
      DeviceCeiling::describe(device_ ? &*device_ : nullptr, document);
    const auto huge = host_ ? huge_page_share(model_.path()) : std::nullopt;
    document["weights_in_huge_pages"] = huge ? ordered_json(*huge) : ordered_json();
  }
  /// Bytes a second that are read, and seconds of a launch that does nothing; empty where they are not known.
  const Samples &bandwidth() const { return host_ ? host_->bandwidth() : device_ ? device_->bandwidth() : none_; }
  const Samples &launch() const { return host_ ? host_->launch() : none_; }

 private:
  const Model &model_;
  std::optional<CpuCeiling> host_;
  std::optional<DeviceCeiling> device_;
  const Samples none_;
};

}  // namespace

void run_bench(const Arguments &arguments) {
  const auto model = arguments.open_model();
  const Manifest &manifest = model->manifest();
  const size_t repeat = arguments.number("repeat", 1, 1000, 5);
  const size_t prompt = std::min<size_t>(arguments.number("prompt", 1, 1u << 20, 16), manifest.context - 1);
  const size_t tokens = std::min<size_t>(arguments.number("tokens", 1, 1u << 20, 64), manifest.context - prompt);
  const size_t prefill = std::min<size_t>(arguments.number("prefill", 1, 1u << 20, 512), manifest.context);
  const size_t draft_length = arguments.number("draft-length", 1, GSIC_MAX_COLUMNS - 1, 0);
  const Prompts prompts(arguments, *model, prompt), long_prompts(arguments, *model, prefill);
  const std::string only = arguments.text("mode", "");

  std::vector<std::unique_ptr<Subject>> subjects;
  for (const std::string &mode : only.empty() ? manifest.modes : std::vector<std::string>{only})
    subjects.push_back(std::make_unique<Subject>(model, mode));
  Ceiling ceiling(*model);
  for (auto &subject : subjects)
    measure_decode(*subject, prompts[0], std::min<size_t>(tokens, 8), draft_length);  // warms up
  Progress progress(repeat);
  for (size_t i = 0; i < repeat; i++) {
    ceiling.sample();
    std::map<std::string, Written> written;
    for (size_t j = 0; j < subjects.size(); j++) {
      Subject &subject = *subjects[(i + j) % subjects.size()];
      written[subject.mode] = measure_decode(subject, prompts[i], tokens, draft_length);
      account_drafts(subject);
      measure_prefill(subject, long_prompts[i]);
    }
    const auto exact = written.find("exact");
    for (auto &subject : subjects)
      account(*subject, written.at(subject->mode), exact == written.end() ? nullptr : &exact->second);
    progress.report(i + 1);
  }
  ordered_json document = {{"model", manifest.name},
                           {"target", model->target().name},
                           {"device", model->device().name()},
                           {"threads", model->device().threads()},
                           {"prompt", prompt},
                           {"tokens", tokens},
                           {"prefill", prefill},
                           {"repeat", repeat}};
  ceiling.describe(document);
  document["modes"] = ordered_json::object();
  for (const auto &subject : subjects) {
    const auto bytes = manifest.bytes_per_token.find(subject->mode);
    document["modes"][subject->mode] =
        describe(*subject, bytes == manifest.bytes_per_token.end() ? std::nullopt : std::optional(bytes->second),
                 ceiling.bandwidth(), ceiling.launch());
  }
  std::cout << document.dump(2) << std::endl;
}

}  // namespace gsic
