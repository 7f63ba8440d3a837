// Runs the native tokenizer for `compiler/read/tokenizer-native.test.ts`.
//
//   tokenizer_test SECTION encode < requests    each request: u8 parse_special, u32 length, bytes; prints ids
//   tokenizer_test SECTION tokens               prints each token's bytes in hexadecimal, and * if special
//   tokenizer_test SECTION mutate               loads every truncation, then random corruptions: prints how many failed
//   tokenizer_test SECTION normalize < text     prints it in Normalization Form C
//   tokenizer_test SECTION stream < bytes       pushes byte by byte through Utf8Stream
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>

#include "normalize.h"
#include "tokenizer.h"
#include "utf8.h"

namespace {

using Bytes = std::vector<uint8_t>;

void print_ids(const std::vector<int32_t> &ids) {
  for (size_t index = 0; index < ids.size(); index++) std::printf(index == 0 ? "%d" : " %d", ids[index]);
  std::printf("\n");
}

void encode(const gsic::Tokenizer &tokenizer, const std::string &input) {
  for (size_t at = 0; at + 5 <= input.size();) {
    uint32_t length = 0;
    std::memcpy(&length, input.data() + at + 1, 4);
    print_ids(tokenizer.encode(std::string_view(input).substr(at + 5, length), input[at] != 0));
    at += 5 + length;
  }
}

void tokens(const gsic::Tokenizer &tokenizer) {
  for (int32_t id = 0; id < tokenizer.size(); id++) {
    for (unsigned char byte : tokenizer.bytes(id)) std::printf("%02x", byte);
    std::printf(tokenizer.is_special(id) ? "*\n" : "\n");
  }
}

/// Whether a copy of exactly these bytes (so that sanitizers see any overrun) loads; true if it is refused cleanly.
bool refused(const Bytes &bytes, const std::string &text) {
  const Bytes copy(bytes.begin(), bytes.end());
  try {
    gsic::Tokenizer::load(copy.data(), copy.size()).encode(text, true);
    return false;
  } catch (const std::runtime_error &) {
    return true;
  }
}

void patch_size(Bytes &bytes) {
  const auto size = uint32_t(bytes.size());
  if (bytes.size() >= 12) std::memcpy(bytes.data() + 8, &size, 4);
}

void mutate(const Bytes &section) {
  const std::string text = "Hello, world! <s> 12 \xf0\x9f\x98\x80";
  size_t truncated = 0, corrupted = 0;
  for (size_t size = 0; size < section.size(); size++) {
    Bytes bytes(section.begin(), section.begin() + ptrdiff_t(size));
    truncated += refused(bytes, text) ? 1 : 0;
    patch_size(bytes);
    if (!refused(bytes, text)) std::printf("accepted %zu bytes\n", size);
  }
  std::mt19937 random(1);
  for (int round = 0; round < 2000; round++) {
    Bytes bytes = section;
    for (int flips = 0; flips < 3; flips++) {
      const size_t within = random() % 2 == 0 ? std::min<size_t>(bytes.size(), 64) : bytes.size();
      bytes[random() % within] = uint8_t(random());
    }
    corrupted += refused(bytes, text) ? 1 : 0;
  }
  std::printf("%zu truncations refused, %zu of 2000 corruptions refused\n", truncated, corrupted);
}

void stream(const std::string &input) {
  gsic::Utf8Stream utf8;
  for (char byte : input) std::cout << utf8.push(std::string_view(&byte, 1)) << '|';
  std::cout << utf8.finish();
}

std::string read_all(std::istream &in) {
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

}  // namespace

int main(int argc, char **argv) try {
  if (argc != 3) return 2;
  std::ifstream file(argv[1], std::ios::binary);
  const std::string data = read_all(file);
  const Bytes section(data.begin(), data.end());
  const std::string command = argv[2];
  if (command == "mutate") {
    mutate(section);
  } else if (command == "stream") {
    stream(read_all(std::cin));
  } else if (command == "normalize") {
    std::cout << gsic::to_nfc(read_all(std::cin));
  } else {
    const gsic::Tokenizer tokenizer = gsic::Tokenizer::load(section.data(), section.size());
    if (command == "encode") encode(tokenizer, read_all(std::cin));
    if (command == "tokens") tokens(tokenizer);
  }
  return 0;
} catch (const std::exception &error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
