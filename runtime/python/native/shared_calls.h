// What linears of one call share: query, key and value ask one after another with the same x; the first computes all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>

namespace gsic {

/// Functions of gsic.h, of the library that opened the linears.
struct LinearFunctions {
  int (*run)(void *linears, uint32_t call, const float *x, size_t columns, float *y);
  const char *(*last_error)();
};

/// A call takes x [columns, d] to y [columns, width].
struct CallShape {
  int64_t call, d, width;
};

/// Columns `column` to `column + out` of a call's y, for one of its `sharers`.
struct Part {
  int64_t call, column, out, sharers;
};

/// Opened linears, which threads use in turns.
class SharedCalls {
 public:
  SharedCalls(void *linears, LinearFunctions functions, const CallShape *shapes, size_t count)
      : linears_(linears), functions_(functions) {
    for (size_t i = 0; i < count; i++) shapes_[shapes[i].call] = shapes[i];
  }

  const CallShape &shape(int64_t call) const {
    const auto found = shapes_.find(call);
    if (found == shapes_.end()) throw std::runtime_error("gsic::linear: no call " + std::to_string(call));
    return found->second;
  }

  /// A part of the call's y, [columns, out], for x [columns, d].
  void compute(const Part &part, const float *x, size_t columns, float *y) {
    const CallShape &of = shape(part.call);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (linears_ == nullptr) throw std::runtime_error("gsic::linear: the model was restored, its linears are closed");
    if (part.out == of.width) return run(part.call, x, columns, y);
    const Known &known = ask(part, of, x, columns);
    for (size_t i = 0; i < columns; i++)
      std::memcpy(y + i * size_t(part.out), known.y.get() + i * size_t(of.width) + part.column,
                  size_t(part.out) * sizeof(float));
    if (known.asked.size() >= size_t(part.sharers)) known_.erase(part.call);
  }

  /// Nothing is computed with the linears any more.
  void close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    linears_ = nullptr;
    known_.clear();
  }

 private:
  /// What a call computed for the linears that have not asked for it yet.
  struct Known {
    size_t columns;
    std::unique_ptr<float[]> x, y;
    std::set<int64_t> asked;
  };

  /// The call's y for x: what is known, unless x is another or this part asks again.
  const Known &ask(const Part &part, const CallShape &of, const float *x, size_t columns) {
    Known &known = known_[part.call];
    const size_t count = columns * size_t(of.d);
    const bool same = known.x != nullptr && known.columns == columns && known.asked.count(part.column) == 0 &&
                      std::memcmp(known.x.get(), x, count * sizeof(float)) == 0;
    if (!same) {
      known_.erase(part.call);
      Known made{columns,
                 std::unique_ptr<float[]>(new float[count]),
                 std::unique_ptr<float[]>(new float[columns * size_t(of.width)]),
                 {}};
      run(part.call, x, columns, made.y.get());
      std::memcpy(made.x.get(), x, count * sizeof(float));
      known_[part.call] = std::move(made);
    }
    Known &now = known_[part.call];
    now.asked.insert(part.column);
    return now;
  }

  void run(int64_t call, const float *x, size_t columns, float *y) {
    if (functions_.run(linears_, uint32_t(call), x, columns, y) != 0)
      throw std::runtime_error(std::string("gsic::linear: ") + functions_.last_error());
  }

  void *linears_;
  LinearFunctions functions_;
  std::map<int64_t, CallShape> shapes_;
  std::map<int64_t, Known> known_;
  std::mutex mutex_;
};

}  // namespace gsic
