// gsic-tool company BUNDLE [--mode M] [--passes 300] [--seed 0] [--threads N]
// Whether a token's logits have the same bits alone and in company: random passes of 1 to 16 columns, and of several
// groups of so many where the device takes them, over runs of several texts, whose caches lie in scattered blocks,
// against the same texts in sessions of their own. Texts end, begin again and are cut off; in mode `lossless` passes of
// drafts run between, whose entries of the cache the next pass replaces. One JSON line: passes, columns, how many
// logits were compared, and how many columns differ.
#include <algorithm>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "arguments.h"
#include "error.h"
#include "passes.h"
#include "session.h"

namespace gsic {
namespace {

constexpr size_t kTexts = 6, kMostTokens = 200;

/// A text, its logits alone, and how much of it passes have computed.
struct Text {
  std::vector<int32_t> ids;
  std::vector<float> alone;  ///< [tokens, vocabulary]
  std::vector<int64_t> blocks;
  size_t computed = 0;
};

class Company {
 public:
  Company(const std::shared_ptr<const Model> &model, const std::string &mode, uint64_t seed)
      : vocabulary_(model->manifest().vocabulary),
        random_(seed),
        texts_(kTexts),
        passes_(model, mode, GSIC_MAX_COLUMNS, kTexts * model->manifest().blocks(length_of(*model)), "company") {
    const Manifest &manifest = model->manifest();
    std::vector<int64_t> places =
        consecutive_blocks(passes_.block_bytes(), kTexts * manifest.blocks(length_of(*model)));
    std::shuffle(places.begin(), places.end(), random_);
    for (size_t i = 0; i < kTexts; i++) {
      make_text(model, mode, texts_[i]);
      const auto first = places.begin() + long(i * places.size() / kTexts);
      texts_[i].blocks.assign(first, first + long(places.size() / kTexts));
    }
  }

  void pass() {
    if (passes_.drafts() && below(3) == 0) draft();
    for (Text &text : texts_)
      if (text.computed == text.ids.size() || below(40) == 0) restart(text);
    const size_t groups = below(2) == 0 ? 1 : 1 + below(passes_.most_columns() / GSIC_MAX_COLUMNS);
    std::vector<gsic_step> steps;
    std::vector<std::vector<Place>> places;
    for (size_t group = 0; group < groups; group++) {
      gsic_step step = {};
      std::vector<Place> found = fill(step, group);
      if (found.empty()) break;
      steps.push_back(step);
      places.push_back(std::move(found));
    }
    passes_.run_groups(steps, false, [&](size_t group) {
      for (uint32_t j = 0; j < places[group].size(); j++)
        if (steps[group].wanted >> j & 1) compare(places[group][j], j);
    });
    passes++;
    computed += columns_of(steps);
  }

  uint64_t passes = 0, drafts = 0, computed = 0, compared = 0, differing = 0;

 private:
  /// A token of a text, as a column of a pass.
  struct Place {
    const Text *text;
    size_t position;
  };

  static size_t length_of(const Model &model) { return std::min<size_t>(model.manifest().context, kMostTokens); }
  size_t below(size_t end) { return size_t(random_() % end); }

  void make_text(const std::shared_ptr<const Model> &model, const std::string &mode, Text &text) {
    text.ids.resize(length_of(*model) / 2 + below(length_of(*model) / 2));
    for (int32_t &id : text.ids) id = int32_t(below(vocabulary_));
    text.alone.resize(text.ids.size() * vocabulary_);
    Session session(model, mode);
    session.evaluate(text.ids.data(), text.ids.size(), text.ids.size(), [&](size_t index, const float *logits) {
      std::copy_n(logits, vocabulary_, text.alone.begin() + long(index * vocabulary_));
    });
  }

  /// Cuts a text off somewhere, mostly at its begin; its blocks change their order where nothing is left in them.
  void restart(Text &text) {
    text.computed = below(2) == 0 ? 0 : below(std::max<size_t>(text.computed, 1));
    if (text.computed == 0) std::shuffle(text.blocks.begin(), text.blocks.end(), random_);
  }

  void add_run(gsic_step &step, size_t index, size_t position, size_t count, size_t group = 0) {
    const Text &text = texts_[index];
    passes_.write_table(index, 0, text.blocks.data(), text.blocks.size());
    const int32_t first = step.columns;
    for (size_t i = 0; i < count; i++)
      step.column[step.columns++] = {text.ids[position + i], int32_t(position + i), first,
                                     passes_.layout().index(index, group)};
  }

  /// Takes runs of some texts as columns of a group, until there are as many as chance wants or nothing is left; of
  /// which each is.
  std::vector<Place> fill(gsic_step &step, size_t group) {
    std::vector<size_t> order(kTexts);
    for (size_t i = 0; i < kTexts; i++) order[i] = i;
    std::shuffle(order.begin(), order.end(), random_);
    size_t room = 1 + below(GSIC_MAX_COLUMNS), texts = 1 + below(kTexts);
    std::vector<Place> places;
    for (size_t index : order) {
      Text &text = texts_[index];
      const size_t most = std::min(room, text.ids.size() - text.computed);
      if (most == 0 || (texts == 0 && !places.empty())) continue;
      const size_t count = 1 + below(most);
      add_run(step, index, text.computed, count, group);
      for (size_t i = 0; i < count; i++) places.push_back({&text, text.computed + i});
      text.computed += count;
      room -= count;
      texts -= texts > 0;
    }
    step.wanted = uint32_t(random_()) & ((1u << step.columns) - 1u);
    return places;
  }

  /// Proposes arbitrary tokens behind some texts.
  void draft() {
    for (size_t ahead = 0, count = 1 + below(3); ahead < count; ahead++) {
      gsic_step step = {};
      for (size_t index = 0; index < kTexts; index++) {
        const Text &text = texts_[index];
        if (text.computed + ahead >= text.ids.size() || below(3) == 0) continue;
        add_run(step, index, text.computed + ahead, 1);
      }
      step.wanted = (1u << step.columns) - 1u;
      if (step.columns > 0) passes_.run(passes_.draft(), step);
      drafts += step.columns > 0;
    }
  }

  void compare(const Place &place, uint32_t column) {
    const float *logits = passes_.logits(passes_.main(), column, place.position);
    const float *alone = &place.text->alone[place.position * vocabulary_];
    compared += vocabulary_;
    differing += std::memcmp(logits, alone, vocabulary_ * sizeof(float)) != 0;
  }

  size_t vocabulary_;
  std::mt19937_64 random_;
  std::vector<Text> texts_;
  Passes passes_;
};

}  // namespace

void run_company(const Arguments &arguments) {
  const auto model = arguments.open_model(Sharing::measured);
  Company company(model, arguments.text("mode", ""), arguments.number("seed", 0, UINT64_MAX, 0));
  for (size_t i = arguments.number("passes", 1, 1u << 24, 300); i > 0; i--) company.pass();
  const nlohmann::ordered_json line = {{"passes", company.passes},
                                       {"drafts", company.drafts},
                                       {"columns", company.computed},
                                       {"compared", company.compared},
                                       {"differing", company.differing}};
  std::cout << line.dump() << std::endl;
}

}  // namespace gsic
