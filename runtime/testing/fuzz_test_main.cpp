// Opens hostile bundles in one process, under the sanitizers. Input I of a seed is always the same, so that a run can
// be taken up anywhere, and a failure be made again.
//
//   fuzz bundle GOOD SEED FIRST COUNT PROGRESS     headers, tables and manifests; PROGRESS is a file of 8 bytes that
//   fuzz tokenizer GOOD SEED FIRST COUNT PROGRESS  always holds the index of the input at work
//   fuzz dump KIND GOOD SEED INDEX OUT             writes that input to a file
//   fuzz sweep GOOD                                every cut, every flipped bit of the header and the table, and
//                                                  of the first bytes of each section
//
// Prints how many inputs were opened and refused. Whatever is neither (another exception, an access outside, more than
// ten seconds or 512 MB for one input) ends the program with another code than 0.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>

#include "error.h"
#include "manifest.h"
#include "mutate.h"
#include "sizes.h"
#include "tokenizer.h"

extern "C" const char *__asan_default_options() {
  return "max_allocation_size_mb=512:detect_leaks=1:abort_on_error=0:exitcode=99";
}

namespace {

[[noreturn]] void fail(const std::string &what) {
  std::fprintf(stderr, "fuzz: %s\n", what.c_str());
  std::exit(98);
}

void require(bool condition, const char *what) {
  if (!condition) fail(what);
}

/// A file in memory that bundles are opened from.
class Place {
 public:
  Place() : number_(memfd_create("gsic-fuzz", 0)), path_("/proc/self/fd/" + std::to_string(number_)) {}
  const std::string &path() const { return path_; }
  void write(const std::string &bytes) const {
    require(ftruncate(number_, 0) == 0 && ftruncate(number_, off_t(bytes.size())) == 0, "no memory for the input");
    require(pwrite(number_, bytes.data(), bytes.size(), 0) == ssize_t(bytes.size()), "no memory for the input");
  }
  /// Leaves the first bytes of what was written.
  void cut(size_t size) const { require(ftruncate(number_, off_t(size)) == 0, "the input cannot be cut"); }
  void put(size_t at, char byte) const {
    require(pwrite(number_, &byte, 1, off_t(at)) == 1, "no memory for the input");
  }

 private:
  int number_;
  std::string path_;
};

volatile uint64_t sum = 0;  ///< so that reads are not left out

void read_all(gsic::Bytes bytes) {
  uint64_t total = 0;
  for (size_t i = 0; i < bytes.size; i++) total += bytes.data[i];
  sum = sum + total;
}

void check_launches(const gsic::Manifest &manifest, const std::vector<gsic::Launch> &launches) {
  for (const gsic::Launch &launch : launches) {
    require(launch.kernel < manifest.kernels.size(), "a launch of no kernel");
    require(launch.arguments.size() == manifest.kernels[launch.kernel].arguments, "a launch of other arguments");
    for (const gsic::Argument &argument : launch.arguments)
      require(argument.offset < manifest.buffer(argument.buffer), "an argument outside of its buffer");
  }
}

void check_program(const gsic::Manifest &manifest, const gsic::Program &program) {
  check_launches(manifest, program.body);
  check_launches(manifest, program.head);
  const uint64_t arena = manifest.buffer(gsic::Buffer::arena);
  require(program.logits_stride >= manifest.vocabulary, "logits narrower than the vocabulary");
  require(gsic::range_fits(program.logits_offset, 64ull * program.logits_stride, arena), "logits outside of the arena");
  if (program.greedy) require(gsic::range_fits(*program.greedy, 64, arena), "greedy choices outside of the arena");
  for (const gsic::Tap &tap : program.taps) {
    require(tap.after < program.body.size() && tap.width <= tap.stride, "a tap of nothing");
    require(gsic::range_fits(tap.offset, 64ull * tap.stride, arena), "a tap outside of the arena");
  }
  require(program.gates.size() * 16 <= manifest.buffer(gsic::Buffer::counters), "gates outside of the counters");
}

/// Everything that a runtime reads of a manifest lies where it may.
void check_manifest(const gsic::Bundle &bundle, const gsic::Manifest &manifest) {
  const gsic::Bytes whole = bundle.bytes();
  require(manifest.vocabulary > 0 && manifest.context > 0 && !manifest.modes.empty(), "an empty model");
  for (const gsic::Target &target : manifest.targets) {
    read_all(bundle.section(target.section));
    for (const gsic::Bytes code : target.code) {
      require(code.data >= whole.data && code.size <= size_t(whole.data + whole.size - code.data), "code outside");
      read_all(code);
    }
  }
  for (const auto &[mode, program] : manifest.programs) check_program(manifest, program);
  read_all(bundle.section("weights"));
}

const std::string kText =
    "Hello, world! <s> 12 \xf0\x9f\x98\x80 naïve <|endoftext|> nai\u0308ve a\u0301\u0323 \uac00\u11a8  "
    "aaaaaaaaaaaaaaaaaaaa\n\xff";

void use_tokenizer(gsic::Bytes bytes) {
  // A copy of exactly these bytes, so that the sanitizer sees what reads beyond them.
  const std::vector<uint8_t> copy(bytes.data, bytes.data + bytes.size);
  const gsic::Tokenizer tokenizer = gsic::Tokenizer::load(copy.data(), copy.size());
  for (const bool special : {true, false})
    for (const int32_t id : tokenizer.encode(kText, special)) {
      require(id >= 0 && id < tokenizer.size(), "an id that is no token");
      sum = sum + tokenizer.bytes(id).size();
    }
  for (int32_t id = -1; id <= tokenizer.size(); id++)
    for (const char c : tokenizer.bytes(id)) sum = sum + uint8_t(c);
  for (const int32_t id : {tokenizer.bos(), tokenizer.eos()})
    require(id < tokenizer.size(), "a special id that is no token");
  for (const int32_t id : tokenizer.prefix()) require(id >= 0 && id < tokenizer.size(), "a prefix id that is no token");
}

/// Opens what stands at a path: true if it loads, false if it is refused as it should be.
bool opens(const std::string &path) {
  try {
    const gsic::Bundle bundle(path, true);
    check_manifest(bundle, gsic::read_manifest(bundle));
    if (const gsic::Bytes section = bundle.find("tokenizer"); section.data != nullptr) use_tokenizer(section);
    return true;
  } catch (const gsic::Error &error) {
    const std::string what = error.what();
    // A pattern that takes too long on a text is an error of that text, and of no bundle.
    const bool gave_up = error.status() == GSIC_INVALID_ARGUMENT && what.find("gives up on") != std::string::npos;
    if (gave_up) return true;
    require(error.status() == GSIC_BAD_BUNDLE || error.status() == GSIC_IO,
            ("refused with another status: " + what).c_str());
    require(what.rfind(path + ": byte ", 0) == 0, ("an error without its place: " + what).c_str());
    require(what.find("; ") != what.npos, ("an error without a next step: " + what).c_str());
    return false;
  } catch (const std::bad_alloc &) {
    fail("out of memory");
  } catch (const std::runtime_error &error) {
    require(std::strncmp(error.what(), "tokenizer", 9) == 0, error.what());
    return false;
  } catch (const std::exception &error) {
    fail(std::string("another exception: ") + error.what());
  }
}

std::string hostile(const std::string &kind, const std::string &good, uint64_t seed, uint64_t index) {
  Random random(seed, index);
  std::vector<RawSection> sections = take_apart(good);
  const auto payload = [&](const char *name) -> std::string & {
    for (RawSection &section : sections)
      if (section.name == name) return section.payload;
    fail(std::string("the good bundle has no section ") + name);
  };
  if (kind == "tokenizer") {
    change_tokenizer(payload("tokenizer"), random);
    return join(sections);
  }
  if (!random.one_in(3)) change_manifest(payload("manifest"), random);
  if (random.one_in(10)) std::swap(sections[random.below(sections.size())], sections[random.below(sections.size())]);
  if (random.one_in(20)) sections.push_back(sections[random.below(sections.size())]);
  if (random.one_in(20)) sections.erase(sections.begin() + long(random.below(sections.size())));
  std::string file = join(sections);
  if (random.one_in(2)) change_container(file, random);
  if (random.one_in(10)) change_bytes(file, random);
  return file;
}

uint64_t *progress_of(const char *path) {
  const int number = open(path, O_RDWR | O_CREAT, 0600);
  require(number >= 0 && ftruncate(number, 8) == 0, "the file of progress cannot be made");
  void *mapped = mmap(nullptr, 8, PROT_READ | PROT_WRITE, MAP_SHARED, number, 0);
  require(mapped != MAP_FAILED, "the file of progress cannot be mapped");
  return static_cast<uint64_t *>(mapped);
}

void print_counts(uint64_t inputs, uint64_t opened) {
  const nlohmann::json counts = {{"inputs", inputs}, {"opened", opened}, {"refused", inputs - opened}};
  std::printf("%s\n", counts.dump().c_str());
}

void fuzz(const std::string &kind, const std::string &good, uint64_t seed, uint64_t first, uint64_t count,
          const char *progress) {
  const Place place;
  uint64_t *const at = progress_of(progress);
  uint64_t opened = 0;
  for (uint64_t i = first; i < first + count; i++) {
    *at = i;
    alarm(10);
    place.write(hostile(kind, good, seed, i));
    opened += opens(place.path()) ? 1 : 0;
  }
  alarm(0);
  print_counts(count, opened);
}

void sweep(const std::string &good) {
  const Place place;
  uint64_t inputs = 0;
  const auto refused = [&](const char *what, size_t where) {
    inputs++;
    if (opens(place.path())) fail(what + std::to_string(where) + " is accepted");
  };
  place.write(good);
  for (size_t size = good.size(); size-- > 0;) {
    place.cut(size);
    refused("a cut at byte ", size);
  }
  place.write(good);
  const size_t head = 32 + 64 * take_apart(good).size();
  for (size_t bit = 0; bit < 8 * good.size(); bit++) {
    const size_t byte = bit / 8;
    const bool whole = byte < head || byte % 4096 < 64;
    if (!whole && bit % 61 != 0) continue;
    place.put(byte, char(good[byte] ^ (1 << (bit % 8))));
    refused("bit ", bit);
    place.put(byte, good[byte]);
  }
  require(opens(place.path()), "the good bundle is refused");
  print_counts(inputs, 0);
}

std::string read_file(const char *path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

int main(int count, char **arguments) {
  const std::vector<std::string> given(arguments + 1, arguments + count);
  const auto number = [&](size_t i) { return std::strtoull(given[i].c_str(), nullptr, 10); };
  if (given.size() == 2 && given[0] == "sweep") {
    sweep(read_file(arguments[2]));
  } else if (given.size() == 6 && given[0] == "dump") {
    std::ofstream(given[5], std::ios::binary) << hostile(given[1], read_file(arguments[3]), number(3), number(4));
  } else if (given.size() == 6) {
    fuzz(given[0], read_file(arguments[2]), number(2), number(3), number(4), arguments[6]);
  } else {
    fail("give bundle|tokenizer GOOD SEED FIRST COUNT PROGRESS, dump KIND GOOD SEED INDEX OUT, or sweep GOOD");
  }
  return 0;
}
