#include "scan.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

namespace gsic {
namespace {

/// Four numbers of 32 bits, which every 64-bit machine has registers for, and as many registers as hide their latency.
constexpr size_t kLanes = 4, kRegisters = 4, kStep = kLanes * kRegisters;
typedef float Floats __attribute__((vector_size(16)));
typedef int32_t Integers __attribute__((vector_size(16)));

template <class Vector> Vector load(const float *values) {
  Vector vector;
  std::memcpy(&vector, values, sizeof vector);
  return vector;
}

constexpr float kNone = -std::numeric_limits<float>::infinity();

}  // namespace

bool all_finite(const float *values, size_t count) {
  constexpr int32_t kExponent = 0x7f800000;
  Integers bad[kRegisters] = {};
  size_t i = 0;
  for (; i + kStep <= count; i += kStep)
#pragma GCC unroll 4
    for (size_t r = 0; r < kRegisters; r++)
      bad[r] |= (load<Integers>(values + i + kLanes * r) & kExponent) == kExponent;
  int32_t any = 0;
  for (size_t lane = 0; lane < kStep; lane++) any |= bad[lane / kLanes][lane % kLanes];
  for (; i < count; i++) {
    int32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    any |= (bits & kExponent) == kExponent;
  }
  return any == 0;
}

TopTwo top_two(const float *values, size_t count) {
  Floats first[kRegisters], second[kRegisters];
  for (size_t r = 0; r < kRegisters; r++) first[r] = second[r] = Floats{} + kNone;
  size_t i = 0;
  for (; i + kStep <= count; i += kStep)
#pragma GCC unroll 4
    for (size_t r = 0; r < kRegisters; r++) {
      const Floats value = load<Floats>(values + i + kLanes * r);
      const Floats lesser = value < first[r] ? value : first[r];
      second[r] = lesser > second[r] ? lesser : second[r];
      first[r] = value > first[r] ? value : first[r];
    }
  TopTwo top = {kNone, kNone};
  const auto add = [&top](float value) {
    top.second = std::max(top.second, std::min(top.first, value));
    top.first = std::max(top.first, value);
  };
  for (size_t lane = 0; lane < kStep; lane++) {
    add(first[lane / kLanes][lane % kLanes]);
    add(second[lane / kLanes][lane % kLanes]);
  }
  for (; i < count; i++) add(values[i]);
  return top;
}

}  // namespace gsic
