// Reading values out of the manifest's JSON, each checked.
#ifndef GSIC_SRC_MANIFEST_READER_H
#define GSIC_SRC_MANIFEST_READER_H

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bundle.h"

namespace gsic {

/// Reads values out of the JSON document, and names the key and the place in the file where one is wrong. `at` is the
/// path of keys to `object`. Every function throws GSIC_BAD_BUNDLE.
class ManifestReader {
 public:
  using json = nlohmann::json;

  explicit ManifestReader(const Bundle &bundle);

  const json &root() const { return root_; }
  const Bundle &bundle() const { return bundle_; }

  [[noreturn]] void refuse(const std::string &key, const std::string &what) const;

  const json &member(const json &object, const std::string &at, const char *key) const;
  /// An integer between `least` and `most`.
  uint64_t number(const json &object, const std::string &at, const char *key, uint64_t least, uint64_t most) const;
  bool flag(const json &object, const std::string &at, const char *key) const;
  std::string text(const json &object, const std::string &at, const char *key) const;
  /// A list of at most 2^20 entries.
  const json &list(const json &object, const std::string &at, const char *key) const;
  std::vector<std::string> texts(const json &object, const std::string &at, const char *key) const;

 private:
  uint64_t offset() const { return uint64_t(section_.data - bundle_.bytes().data); }
  std::string as_text(const json &value, const std::string &at) const;

  const Bundle &bundle_;
  Bytes section_;
  json root_;
};

/// `at[index]`
std::string indexed(const std::string &at, size_t index);

}  // namespace gsic

#endif
