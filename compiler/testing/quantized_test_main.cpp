// run LIBRARY SYMBOL WORKERS CHUNKS WIDTH OUT X Y [WEIGHTS...]: calls a CPU kernel on the columns of X (f32, [tokens,
// WIDTH]) in passes of the given sizes (comma-separated, over and over), once for each worker, and writes Y (f32,
// [tokens, OUT]). The kernel's arguments are the step, x, y and the contents of the WEIGHTS files. Columns that a pass
// does not have are NaN. For compiler/testing/quantized.ts.
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "gsic/abi.h"

static std::vector<char> contents(const char *path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int main(int count, char **arguments) {
  if (count < 9) return 2;
  void *library = dlopen(arguments[1], RTLD_NOW);
  if (!library) {
    std::fprintf(stderr, "run: %s\n", dlerror());
    return 1;
  }
  const auto kernel = reinterpret_cast<gsic_cpu_kernel>(dlsym(library, arguments[2]));
  if (!kernel) return 1;
  const auto workers = uint32_t(std::stoul(arguments[3]));
  std::vector<size_t> chunks;
  std::istringstream list(arguments[4]);
  for (std::string one; std::getline(list, one, ',');) chunks.push_back(std::stoul(one));
  const size_t width = std::stoul(arguments[5]), out = std::stoul(arguments[6]);
  const std::vector<char> input = contents(arguments[7]);
  const size_t tokens = input.size() / (width * sizeof(float));

  std::vector<float> x(GSIC_MAX_COLUMNS * width), y(GSIC_MAX_COLUMNS * out), result;
  gsic_step step = {};
  std::vector<void *> pointers = {&step, x.data(), y.data()};
  for (int i = 9; i < count; i++) {
    const std::vector<char> bytes = contents(arguments[i]);
    void *aligned = std::aligned_alloc(64, (bytes.size() + 63) / 64 * 64);
    std::memcpy(aligned, bytes.data(), bytes.size());
    pointers.push_back(aligned);
  }
  for (size_t done = 0, turn = 0; done < tokens; turn++) {
    const size_t part = std::min(chunks[turn % chunks.size()], tokens - done);
    std::fill(x.begin(), x.end(), std::nanf(""));
    std::memcpy(x.data(), input.data() + done * width * sizeof(float), part * width * sizeof(float));
    step.columns = int32_t(part);
    step.wanted = (uint32_t{1} << part) - 1;
    for (uint32_t index = 0; index < workers; index++) {
      const gsic_worker worker = {index, workers, nullptr, 0};
      kernel(&worker, pointers.data());
    }
    result.insert(result.end(), y.begin(), y.begin() + std::ptrdiff_t(part * out));
    done += part;
  }
  std::ofstream(arguments[8], std::ios::binary)
      .write(reinterpret_cast<const char *>(result.data()), std::streamsize(result.size() * sizeof(float)));
  return 0;
}
