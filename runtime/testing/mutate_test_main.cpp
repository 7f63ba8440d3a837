// Hostile bundles; a part of the program fuzz_test_main.cpp.
#include "mutate.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>

using nlohmann::json;

namespace {

constexpr size_t kHeader = 32, kEntry = 64, kPage = 4096;

size_t round_up(size_t size) { return (size + kPage - 1) / kPage * kPage; }

template <typename Number> void put(std::string &bytes, size_t at, Number value) {
  if (at + sizeof value > bytes.size()) return;
  std::memcpy(&bytes[at], &value, sizeof value);
}

template <typename Number> Number get(const std::string &bytes, size_t at) {
  Number value = 0;
  if (at + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

uint64_t hash(const char *data, size_t size) { return XXH64(data, size, 0); }

/// Every value below `value`, itself too.
void collect(json &value, std::vector<json *> &found) {
  found.push_back(&value);
  if (value.is_structured())
    for (json &inner : value) collect(inner, found);
}

json hostile_value(Random &random, const json &old) {
  switch (random.below(10)) {
    case 0:
      return nullptr;
    case 1:
      return random.size(old.is_number_unsigned() ? old.get<uint64_t>() : 16);
    case 2:
      return -int64_t(random.below(1000)) - 1;
    case 3:
      return double(random.next() >> 11) * 0.37;
    case 4:
      return std::string(random.below(40), char('a' + random.below(26)));
    case 5:
      return std::string("a\0b\x1b[31m", 8);
    case 6:
      return json::array();
    case 7:
      return json::object();
    case 8: {
      json deep = 1;
      for (size_t depth = random.below(60); depth > 0; depth--) deep = json::array({deep});
      return deep;
    }
    default:
      return random.one_in(2);
  }
}

void change_value(json &root, Random &random) {
  std::vector<json *> all;
  collect(root, all);
  json &value = *all[random.below(all.size())];
  if (value.is_number_unsigned() && !random.one_in(4)) {
    value = random.size(value.get<uint64_t>());
  } else if (value.is_structured() && !value.empty() && !random.one_in(4)) {
    auto member = value.begin();
    std::advance(member, long(random.below(value.size())));
    const json copy = *member;
    switch (random.below(3)) {
      case 0:
        value.erase(member);
        break;
      case 1:
        if (value.is_array())
          value.insert(member, copy);
        else
          value["extra" + std::to_string(random.below(3))] = copy;
        break;
      default:
        *member = *all[random.below(all.size())] == value ? json(0) : hostile_value(random, copy);
    }
  } else {
    value = hostile_value(random, value);
  }
}

const char *const kPatterns[] = {"\\C",
                                 "(?=a\\K)",
                                 "(a+)+$",
                                 "(?R)",
                                 "",
                                 "(",
                                 "[^",
                                 "\\p{Nope}",
                                 "(*UTF)a",
                                 "(?C1)a",
                                 "a\\Kb",
                                 "(?<=a\\K)",
                                 "\\X",
                                 "(*NO_JIT)(*LIMIT_MATCH=1)a+",
                                 "(?:a|b|c){0,100}\\s",
                                 "\\N{U+110000}",
                                 "(?i)\xc3\xa9",
                                 "\xff\xfe",
                                 "((a{1000}){1000})",
                                 "$",
                                 "(?(DEFINE)a)|\\G."};

}  // namespace

uint64_t Random::next() {
  uint64_t z = state_ += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

uint64_t Random::size(uint64_t near) {
  static constexpr uint64_t kEdges[] = {0,          1,          2,          3,          0x7f,       0xff,
                                        0x7fff,     0xffff,     0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff,
                                        1ull << 32, 1ull << 44, 1ull << 53, 1ull << 62, 1ull << 63, ~0ull,
                                        ~0ull - 15, 4095,       4096};
  switch (below(5)) {
    case 0:
      return near + below(5) - 2;
    case 1:
      return near ^ (1ull << below(64));
    case 2:
      return next() >> below(64);
    case 3:
      return near + 4096 * (below(5) - 2);
    default:
      return kEdges[below(std::size(kEdges))];
  }
}

std::string join(const std::vector<RawSection> &sections) {
  std::string file(kHeader + kEntry * sections.size(), '\0');
  std::memcpy(&file[0], "GSIC\x1a\n\0\x01", 8);
  put<uint32_t>(file, 8, 1);
  put<uint32_t>(file, 12, uint32_t(sections.size()));
  for (size_t i = 0; i < sections.size(); i++) {
    const RawSection &section = sections[i];
    file.resize(round_up(file.size()));
    const size_t at = kHeader + kEntry * i;
    std::memcpy(&file[at], section.name.data(), std::min<size_t>(32, section.name.size()));
    put<uint64_t>(file, at + 32, file.size());
    put<uint64_t>(file, at + 40, section.payload.size());
    put<uint64_t>(file, at + 48, hash(section.payload.data(), section.payload.size()));
    file += section.payload;
  }
  file.resize(round_up(file.size()));
  put<uint64_t>(file, 16, file.size());
  put<uint64_t>(file, 24, hash(file.data() + kHeader, kEntry * sections.size()));
  return file;
}

std::vector<RawSection> take_apart(const std::string &bundle) {
  std::vector<RawSection> sections;
  for (size_t i = 0; i < get<uint32_t>(bundle, 12); i++) {
    const size_t at = kHeader + kEntry * i;
    sections.push_back({std::string(bundle.data() + at, strnlen(bundle.data() + at, 32)),
                        bundle.substr(get<uint64_t>(bundle, at + 32), get<uint64_t>(bundle, at + 40))});
  }
  return sections;
}

void change_container(std::string &bundle, Random &random) {
  const size_t count = get<uint32_t>(bundle, 12);
  for (size_t changes = 1 + random.below(3); changes > 0; changes--) {
    const size_t entry = kHeader + kEntry * random.below(count);
    switch (random.below(9)) {
      case 0:
        put<uint32_t>(bundle, 12, uint32_t(random.size(count)));
        break;
      case 1:
        put<uint64_t>(bundle, 16, random.size(bundle.size()));
        break;
      case 2:
      case 3:
        put<uint64_t>(bundle, entry + 32, random.size(get<uint64_t>(bundle, entry + 32)));
        break;
      case 4:
      case 5:
        put<uint64_t>(bundle, entry + 40, random.size(get<uint64_t>(bundle, entry + 40)));
        break;
      case 6:
        put<uint8_t>(bundle, entry + random.below(32), uint8_t(random.next()));
        break;
      case 7:
        bundle.resize(size_t(std::min<uint64_t>(random.size(bundle.size()), bundle.size() + 3 * kPage)));
        if (random.one_in(2)) put<uint64_t>(bundle, 16, bundle.size());
        break;
      default:
        put<uint8_t>(bundle, random.below(kHeader + kEntry * count), uint8_t(random.next()));
    }
  }
  if (random.one_in(4)) return;
  const size_t table = kEntry * size_t(get<uint32_t>(bundle, 12));
  if (kHeader + table <= bundle.size()) put<uint64_t>(bundle, 24, hash(bundle.data() + kHeader, table));
}

void change_manifest(std::string &manifest, Random &random) {
  if (random.one_in(5)) {
    change_bytes(manifest, random);
    return;
  }
  json root = json::parse(manifest);
  for (size_t changes = 1 + random.below(3); changes > 0; changes--) change_value(root, random);
  manifest = root.dump(-1, ' ', false, json::error_handler_t::replace);
  // A key that stands twice.
  if (random.one_in(10) && manifest.size() > 2 && manifest[0] == '{' && manifest[1] == '"')
    manifest.insert(1, manifest.substr(1, manifest.find(':') - 1) + ":0,");
}

void change_tokenizer(std::string &section, Random &random) {
  const size_t words = section.size() / 4;
  for (size_t changes = 1 + random.below(4); changes > 0; changes--) {
    const size_t at = random.one_in(2) ? 4 * random.below(13) : 4 * random.below(words);
    const uint32_t old = get<uint32_t>(section, at);
    switch (random.below(7)) {
      case 0:
      case 1:
        put<uint32_t>(section, at, uint32_t(random.size(old)));
        break;
      case 2:
        put<uint32_t>(section, at, get<uint32_t>(section, 4 * random.below(words)));
        break;
      case 3:
      case 4: {
        // The pattern of the step at the end of the words: found by its text, which follows its length.
        const size_t found = section.find("\\p{L}");
        const std::string pattern = kPatterns[random.below(std::size(kPatterns))];
        for (size_t start = found; found != section.npos && start >= 4 && start + 300 > found; start--) {
          const uint32_t length = get<uint32_t>(section, start - 4);
          if (length < found - start || length > 400 || start + length > section.size()) continue;
          section.replace(start, length, pattern);
          put<uint32_t>(section, start - 4, uint32_t(pattern.size()));
          break;
        }
        break;
      }
      case 5:
        section.erase(random.below(section.size()), random.below(9));
        break;
      default:
        change_bytes(section, random);
    }
  }
  if (!random.one_in(8)) put<uint32_t>(section, 8, uint32_t(section.size()));
}

void change_bytes(std::string &bytes, Random &random) {
  if (bytes.empty()) return;
  switch (random.below(4)) {
    case 0:
      bytes.resize(random.below(bytes.size()));
      break;
    case 1: {
      const size_t at = random.below(bytes.size());
      bytes.insert(at, bytes.substr(random.below(bytes.size()), random.below(64)));
      break;
    }
    default:
      for (size_t flips = 1 + random.below(4); flips > 0; flips--)
        bytes[random.below(bytes.size())] = char(random.next());
  }
}
