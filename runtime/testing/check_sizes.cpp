// The vectors of size-vectors.json against src/sizes.h.
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "check.h"
#include "sizes.h"

namespace {

using nlohmann::json;

/// A number of the vectors; none where it does not fit into 64 bits, which no field of a file holds.
std::optional<uint64_t> number(const json &text) {
  errno = 0;
  const uint64_t value = std::strtoull(text.get<std::string>().c_str(), nullptr, 10);
  return errno == 0 ? std::optional(value) : std::nullopt;
}

std::optional<uint64_t> expected(const json &vector) {
  return vector["is"].is_null() ? std::nullopt : number(vector["is"]);
}

/// Folds a list by two-operand calls: an initialiser list has no run-time length. Zeros are kept to the end, as
/// the whole list's product would.
template <typename Fold> std::optional<uint64_t> fold(const json &list, uint64_t start, Fold step) {
  std::optional<uint64_t> result = start;
  for (const json &text : list) {
    const std::optional<uint64_t> value = number(text);
    if (!value || !result) return std::nullopt;
    result = step(*result, *value);
  }
  return result;
}

std::optional<uint64_t> product(const json &list) {
  bool zero = false;
  const auto step = [&](uint64_t left, uint64_t right) {
    zero |= right == 0;
    return gsic::checked_product({left, right == 0 ? 1 : right});
  };
  const std::optional<uint64_t> result = fold(list, 1, step);
  return result && zero ? 0 : result;
}

}  // namespace

void check_sizes(const char *file) {
  std::ifstream input(file);
  const json vectors = json::parse(input);
  size_t checked = 0;
  for (const json &vector : vectors["sum"]) {
    CHECK(fold(vector["of"], 0, [](uint64_t a, uint64_t b) { return gsic::checked_sum({a, b}); }) == expected(vector));
    checked++;
  }
  for (const json &vector : vectors["product"]) {
    CHECK(product(vector["of"]) == expected(vector));
    const json &of = vector["of"];
    if (of.size() == 2 && number(of[0]) && number(of[1]))
      CHECK(gsic::checked_product({*number(of[0]), *number(of[1])}) == expected(vector));
    checked++;
  }
  for (const json &vector : vectors["padding"]) {
    CHECK(gsic::checked_padding(*number(vector["size"]), *number(vector["alignment"])) == expected(vector));
    checked++;
  }
  for (const json &vector : vectors["range"]) {
    CHECK(gsic::range_fits(*number(vector["offset"]), *number(vector["bytes"]), *number(vector["size"])) ==
          vector["fits"].get<bool>());
    checked++;
  }
  std::printf("%zu vectors\n", checked);
}
