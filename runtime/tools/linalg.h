// What the requests of `gsic-tool linalg` share; the protocol stands in linalg.cpp.
#ifndef GSIC_TOOLS_LINALG_H
#define GSIC_TOOLS_LINALG_H

#include <cblas.h>

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "second_moment.h"
#include "thread_pool.h"

namespace gsic {

/// An answer: fields beside "ok", then the arrays' bytes.
struct Answer {
  nlohmann::json fields = nlohmann::json::object();
  std::vector<std::vector<uint8_t>> arrays;

  template <typename T> void add(const std::vector<T> &values) {
    const auto *bytes = reinterpret_cast<const uint8_t *>(values.data());
    arrays.emplace_back(bytes, bytes + values.size() * sizeof(T));
  }
};

/// Gives OpenBLAS back its threads at its end.
struct BlasThreads {
  const int count;
  ~BlasThreads() { openblas_set_num_threads(count); }
};

/// Calls `work(i)` for all i below `count` on as many threads as OpenBLAS has, which meanwhile has one in each. Throws
/// what `work` threw.
void each_slab(size_t count, const std::function<void(size_t)> &work);

/// Throws GSIC_INVALID_ARGUMENT: the header cannot be understood, and what follows it cannot be found.
[[noreturn]] void refuse(const std::string &what);

/// The integer of a key, from `least` to 2^18. Refuses anything else.
uint64_t dimension(const nlohmann::json &request, const char *key, uint64_t least = 1);

/// The unsigned integer "seed".
uint64_t seed_of(const nlohmann::json &request);

/// Reads f32 from standard input. Refuses an input that ends before.
std::vector<float> read_matrix(uint64_t rows, uint64_t columns);

/// A second moment as it was read: C [d, d], or its sketch [d, width].
struct MomentInput {
  uint64_t d = 0, width = 0, seed = 0;
  bool sketched = false;
  double mean_squared_norm = 0;
  std::vector<float> values;
};

/// Reads what the header says of C, and its array.
MomentInput read_moment(const nlohmann::json &header, uint64_t d);

/// Throws GSIC_INVALID_ARGUMENT where a value is not finite.
SecondMoment moment_of(const MomentInput &input);

/// Reads the arrays of {"op":"quantize"}; returns what computes its answer on the workers of a pool.
std::function<Answer()> read_quantize(const nlohmann::json &request, ThreadPool &pool);

/// The same of {"op":"tier_losses"}.
std::function<Answer()> read_tier_losses(const nlohmann::json &request, ThreadPool &pool);

/// The same of {"op":"blocks"}.
std::function<Answer()> read_blocks(const nlohmann::json &request, ThreadPool &pool);

/// The same of {"op":"block_losses"}.
std::function<Answer()> read_block_losses(const nlohmann::json &request, ThreadPool &pool);

}  // namespace gsic

#endif
