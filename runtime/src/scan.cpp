#include "scan.h"

#include <algorithm>
#include <cmath>
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

/// 2^x for x <= 0, 2^-125 where it would be less: 2^i 2^f with i = trunc x, and a polynomial for 2^f on (-1, 0].
Floats power_of_two(Floats x) {
  const Floats least = Floats{} - 125;
  x = x < least ? least : x;
  const Integers i = __builtin_convertvector(x, Integers);
  const Floats f = x - __builtin_convertvector(i, Floats);
  // The Taylor series of e^(f log 2) around f = -1/2, in Horner's form.
  const Floats g = (f + 0.5f) * 0.693147181f;
  Floats sum = Floats{} + 1.0f / 5040;
  for (const float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) sum = sum * g + c;
  const Integers exponent = (i + 127) << 23;
  Floats scale;
  std::memcpy(&scale, &exponent, sizeof scale);
  return sum * 0.707106781f * scale;
}

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

double sum_of_weights(const float *values, size_t count, float largest, float temperature) {
  const double octaves = kOctaves / temperature;
  const auto weights = [&](const float *place) {
    return power_of_two((load<Floats>(place) - largest) * float(octaves));
  };
  double total = 0;
  size_t i = 0;
  for (; i + kStep <= count; i += kStep) {
    Floats sum = {};
    for (size_t r = 0; r < kRegisters; r++) sum += weights(values + i + kLanes * r);
    total += double(sum[0] + sum[1]) + double(sum[2] + sum[3]);
  }
  for (; i < count; i++) total += std::exp2((double(values[i]) - largest) * octaves);
  return total;
}

}  // namespace gsic
