// linears BUNDLE TARGET MODE [THREADS CHUNKS INPUTS OUT]: prints the linears, one a line: call, d, out, column, width,
// first, bias, name, tensor. INPUTS holds, call by call, x [columns, d] f32, as many columns for each; OUT receives y
// [columns, width] likewise. Columns are run in pieces of the given sizes, comma-separated, over and over. Where the
// environment variable GSIC_DRIVER names a driver, x and y are in its memory, and go by pointer through a stream of
// this program's; the host's memory must give the same bits. For compiler/emit/linears.test.ts.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "gsic.h"

static void check(bool good, const char *what) {
  if (good) return;
  std::fprintf(stderr, "linears: %s\n", what);
  std::exit(1);
}

static void check(gsic_status status) { check(status == GSIC_OK, gsic_last_error()); }

/// The functions of a driver that a host of its own needs.
struct Driver {
  explicit Driver(const char *path) : library(dlopen(path, RTLD_NOW)) { check(library != nullptr, dlerror()); }

  /// Calls AMD's function, or NVIDIA's.
  template <typename... Values> void call(const char *hip, const char *cuda, Values... values) {
    void *found = dlsym(library, uses_hip ? hip : cuda);
    check(found != nullptr, dlerror());
    check(reinterpret_cast<int (*)(Values...)>(found)(values...) == 0, uses_hip ? hip : cuda);
  }

  void *library;
  bool uses_hip = true;
};

struct Runner {
  gsic_linears *linears;
  Driver *driver;
  void *stream = nullptr;

  void run(uint32_t call, const float *x, size_t columns, float *y, size_t d, size_t width) {
    if (driver == nullptr) return check(gsic_linears_run(linears, call, x, columns, y));
    const size_t in = columns * d * sizeof(float), out = columns * width * sizeof(float);
    void *from = nullptr, *to = nullptr;
    driver->call("hipMalloc", "cuMemAlloc_v2", &from, in);
    driver->call("hipMalloc", "cuMemAlloc_v2", &to, out);
    driver->call("hipMemcpyHtoDAsync", "cuMemcpyHtoDAsync_v2", from, static_cast<const void *>(x), in, stream);
    check(gsic_linears_enqueue(linears, call, static_cast<const float *>(from), columns, static_cast<float *>(to),
                               stream));
    driver->call("hipMemcpyDtoHAsync", "cuMemcpyDtoHAsync_v2", static_cast<void *>(y), static_cast<const void *>(to),
                 out, stream);
    driver->call("hipStreamSynchronize", "cuStreamSynchronize", stream);
    driver->call("hipFree", "cuMemFree_v2", from);
    driver->call("hipFree", "cuMemFree_v2", to);
    std::vector<float> by_host(columns * width);
    check(gsic_linears_run(linears, call, x, columns, by_host.data()));
    check(std::memcmp(by_host.data(), y, out) == 0, "the host's memory and the device's give different results");
  }
};

static std::vector<float> read_floats(const char *path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto *first = reinterpret_cast<const float *>(bytes.data());
  return {first, first + bytes.size() / sizeof(float)};
}

/// Prints every linear; the first of each call, in order.
static std::vector<gsic_linear_info> print_linears(const gsic_linears *linears) {
  std::vector<gsic_linear_info> calls;
  for (size_t i = 0; i < gsic_linears_count(linears); i++) {
    gsic_linear_info info = {};
    check(gsic_linears_describe(linears, i, &info));
    std::printf("%u %u %u %u %u %u %d %s %s\n", info.call, info.d, info.out, info.column, info.width, info.first,
                info.has_bias, info.name, info.tensor);
    if (info.call == calls.size()) calls.push_back(info);
  }
  return calls;
}

int main(int count, char **arguments) {
  if (count != 4 && count != 8) return 2;
  gsic_open_options options = {};
  options.target = arguments[2];
  if (count == 8) options.threads = uint32_t(std::stoul(arguments[4]));
  gsic_model *model = nullptr;
  gsic_linears *linears = nullptr;
  check(gsic_open(arguments[1], &options, &model));
  check(gsic_linears_open(model, arguments[3], &linears));
  const std::vector<gsic_linear_info> calls = print_linears(linears);
  gsic_linear_info none = {};
  check(gsic_linears_describe(linears, gsic_linears_count(linears), &none) == GSIC_INVALID_ARGUMENT, "one too many");
  check(gsic_linears_run(linears, uint32_t(calls.size()), nullptr, 0, nullptr) == GSIC_INVALID_ARGUMENT,
        "no such call");
  check(gsic_linears_run(linears, 0, nullptr, 1, nullptr) == GSIC_INVALID_ARGUMENT, "no x");
  if (count == 8) {
    const char *path = std::getenv("GSIC_DRIVER");
    Driver *driver = path != nullptr ? new Driver(path) : nullptr;
    Runner runner{linears, driver};
    if (driver != nullptr) {
      gsic_model_info info = {};
      check(gsic_describe(model, &info));
      driver->uses_hip = std::string(info.target).compare(0, 2, "mi") == 0;
      if (!driver->uses_hip) {
        // A host has a context of its own; gsic leaves none behind.
        void *context = nullptr;
        driver->call("", "cuDevicePrimaryCtxRetain", &context, 0);
        driver->call("", "cuCtxSetCurrent", context);
      }
      driver->call("hipStreamCreateWithFlags", "cuStreamCreate", &runner.stream, 1u);
    } else {
      float x = 0;
      check(gsic_linears_enqueue(linears, 0, &x, 1, &x, nullptr) == GSIC_INVALID_ARGUMENT, "a stream of a CPU");
    }
    std::vector<size_t> chunks;
    std::istringstream list(arguments[5]);
    for (std::string one; std::getline(list, one, ',');) chunks.push_back(std::stoul(one));
    const std::vector<float> inputs = read_floats(arguments[6]);
    size_t inputs_width = 0;
    for (const gsic_linear_info &info : calls) inputs_width += info.d;
    const size_t columns = inputs.size() / inputs_width;
    std::ofstream out(arguments[7], std::ios::binary);
    const float *x = inputs.data();
    for (const gsic_linear_info &info : calls) {
      const size_t d = info.d, width = info.width;
      std::vector<float> y(columns * width);
      for (size_t done = 0, turn = 0; done < columns; turn++) {
        const size_t some = std::min(chunks[turn % chunks.size()], columns - done);
        runner.run(info.call, x + done * d, some, &y[done * width], d, width);
        done += some;
      }
      out.write(reinterpret_cast<const char *>(y.data()), std::streamsize(y.size() * sizeof(float)));
      x += columns * d;
    }
    if (driver != nullptr) driver->call("hipStreamDestroy", "cuStreamDestroy_v2", runner.stream);
  }
  gsic_linears_close(linears);
  gsic_close(model);
  return 0;
}
