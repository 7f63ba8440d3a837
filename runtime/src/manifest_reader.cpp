#include "manifest_reader.h"

#include <algorithm>
#include <set>

namespace gsic {
namespace {

constexpr uint64_t kMostEntries = 1u << 20;
constexpr int kDeepest = 32;
constexpr const char *kNext = "build the model again with this gsic";

}  // namespace

ManifestReader::ManifestReader(const Bundle &bundle) : bundle_(bundle), section_(bundle.section("manifest")) {
  if (section_.size > (size_t(1) << 28)) refuse("the whole of it", "is larger than 256 MiB");
  // Keys of the objects that are open: a key that stands twice means two things to two readers.
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, json::parse_event_t event, json &value) {
    if (depth > kDeepest) refuse("the whole of it", "is nested deeper than 32 levels");
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
      refuse("the key '" + value.get<std::string>() + "'", "stands twice in one object");
    return true;
  };
  try {
    root_ = json::parse(section_.data, section_.data + section_.size, watch);
  } catch (const json::parse_error &error) {
    bundle_.refuse(offset() + error.byte, std::string("the manifest is not JSON: ") + error.what(), kNext);
  } catch (const json::exception &error) {
    bundle_.refuse(offset(), std::string("the manifest is not JSON: ") + error.what(), kNext);
  }
}

void ManifestReader::refuse(const std::string &key, const std::string &what) const {
  bundle_.refuse(offset(), "manifest: " + key + " " + what, kNext);
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

bool ManifestReader::flag(const json &object, const std::string &at, const char *key) const {
  const json &value = member(object, at, key);
  if (!value.is_boolean()) refuse(at + "." + key, "is " + value.dump() + ", expected true or false");
  return value.get<bool>();
}

std::string ManifestReader::text(const json &object, const std::string &at, const char *key) const {
  return as_text(member(object, at, key), at + "." + key);
}

std::string ManifestReader::as_text(const json &value, const std::string &at) const {
  if (!value.is_string()) refuse(at, "is not a string");
  const std::string text = value.get<std::string>();
  // Names reach terminals, dlsym and C strings.
  if (std::any_of(text.begin(), text.end(), [](char c) { return uint8_t(c) < 0x20 || c == 0x7f; }))
    refuse(at, "holds a control character");
  return text;
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
