#include "manifest_reader.h"

namespace gsic {
namespace {

constexpr uint64_t kMostEntries = 1u << 20;

}  // namespace

ManifestReader::ManifestReader(const Bundle &bundle) : bundle_(bundle), section_(bundle.section("manifest")) {
  if (section_.size > (size_t(1) << 28)) refuse("the whole of it", "is larger than 256 MiB");
  try {
    root_ = json::parse(section_.data, section_.data + section_.size);
  } catch (const json::parse_error &error) {
    bundle_.refuse(offset() + error.byte, std::string("the manifest is not JSON: ") + error.what());
  }
}

void ManifestReader::refuse(const std::string &key, const std::string &what) const {
  bundle_.refuse(offset(), "manifest: " + key + " " + what + "; build the model again with this gsic");
}

const nlohmann::json &ManifestReader::member(const json &object, const std::string &at, const char *key) const {
  if (!object.is_object()) refuse(at, "is not an object");
  const auto found = object.find(key);
  if (found == object.end()) refuse(at + "." + key, "is missing");
  return *found;
}

uint64_t ManifestReader::number(const json &object, const std::string &at, const char *key, uint64_t least,
                                uint64_t most) const {
  const json &value = member(object, at, key);
  if (!value.is_number_unsigned() || value.get<uint64_t>() < least || value.get<uint64_t>() > most)
    refuse(at + "." + key, "is " + value.dump() + ", expected an integer from " + std::to_string(least) + " to " +
                               std::to_string(most));
  return value.get<uint64_t>();
}

std::string ManifestReader::text(const json &object, const std::string &at, const char *key) const {
  return as_text(member(object, at, key), at + "." + key);
}

std::string ManifestReader::as_text(const json &value, const std::string &at) const {
  if (!value.is_string()) refuse(at, "is not a string");
  return value.get<std::string>();
}

const nlohmann::json &ManifestReader::list(const json &object, const std::string &at, const char *key) const {
  const json &value = member(object, at, key);
  if (!value.is_array()) refuse(at + "." + key, "is not a list");
  if (value.size() > kMostEntries) refuse(at + "." + key, "has more than 2^20 entries");
  return value;
}

std::vector<std::string> ManifestReader::texts(const json &object, const std::string &at, const char *key) const {
  std::vector<std::string> result;
  for (const json &entry : list(object, at, key)) result.push_back(as_text(entry, at + "." + key));
  return result;
}

std::string indexed(const std::string &at, size_t index) { return at + "[" + std::to_string(index) + "]"; }

}  // namespace gsic
