// What fuzz_test_main.cpp makes hostile bundles with: a bundle taken apart, put together again, and changed with
// knowledge of its format.
#ifndef GSIC_TESTING_MUTATE_H
#define GSIC_TESTING_MUTATE_H

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

/// Numbers from a seed: SplitMix64. Input `index` of a seed is the same whatever came before it.
class Random {
 public:
  Random(uint64_t seed, uint64_t index) : state_(seed * 0x9e3779b97f4a7c15ull + index * 0xd1342543de82ef95ull) {
    next();
  }
  uint64_t next();
  /// From 0 to `count` - 1; 0 where there is nothing to choose from.
  size_t below(size_t count) { return count == 0 ? 0 : size_t(next() % count); }
  bool one_in(size_t count) { return below(count) == 0; }
  /// A number that breaks arithmetic on sizes, or one near `near`.
  uint64_t size(uint64_t near);

 private:
  uint64_t state_;
};

struct RawSection {
  std::string name, payload;
};

/// A bundle as bytes, around sections.
std::string join(const std::vector<RawSection> &sections);
/// The sections of a good bundle.
std::vector<RawSection> take_apart(const std::string &bundle);

/// Changes the header or the table, and mends the table's hash most of the time, so that what lies behind is reached.
void change_container(std::string &bundle, Random &random);
/// Changes one to three values of the manifest, or its text.
void change_manifest(std::string &manifest, Random &random);
/// Changes counts, ids, ends, flags and patterns of a tokenizer section, and its own size most of the time.
void change_tokenizer(std::string &section, Random &random);
/// Changes single bytes, cuts, or repeats a part.
void change_bytes(std::string &bytes, Random &random);

#endif
