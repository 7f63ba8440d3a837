// Sums over a vocabulary become vector code only when optimised for speed; products stay apart from sums, so that every
// instruction set gives the same bits.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "fp-contract=off")
#endif

#include "distribution.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "clones.h"

namespace gsic {
namespace {

/// exp(x) for x <= 0 to about 1e-14 of it, 0 far below; without branches, so that loops over it become vector code.
inline double exponential(double x) {
  constexpr double kLog2e = 1.4426950408889634, kLn2High = 0x1.62e42fee00000p-1, kLn2Low = 0x1.a39ef35793c76p-33;
  constexpr double kShift = 0x1.8p52, kLeast = -708;
  const double within = x < kLeast ? kLeast : x;
  const double shifted = within * kLog2e + kShift, power = shifted - kShift;
  const double r = (within - power * kLn2High) - power * kLn2Low;
  double sum = 1.0 / 479001600;
  constexpr double kInverses[] = {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
                                  1.0 / 120,      1.0 / 24,      1.0 / 6,      1.0 / 2,     1.0,        1.0};
  for (const double inverse : kInverses) sum = sum * r + inverse;
  uint64_t bits, exponent;
  std::memcpy(&bits, &sum, sizeof bits);
  std::memcpy(&exponent, &shifted, sizeof exponent);
  bits += exponent << 52;
  std::memcpy(&sum, &bits, sizeof sum);
  return x < kLeast ? 0 : sum;
}

/// Sums are taken in this many parts, one behind the other, whatever the instruction set.
constexpr size_t kParts = 16;

/// Sets powers[i] = exp(logits[i] - top), and returns their sum.
double powers_of(const float *logits, size_t count, float top, double *powers) {
  double sums[kParts] = {};
  const size_t whole = count - count % kParts;
  for (size_t i = 0; i < whole; i += kParts)
    for (size_t j = 0; j < kParts; j++) {
      powers[i + j] = exponential(double(logits[i + j]) - double(top));
      sums[j] += powers[i + j];
    }
  double sum = 0;
  for (const double part : sums) sum += part;
  for (size_t i = whole; i < count; i++) sum += powers[i] = exponential(double(logits[i]) - double(top));
  return sum;
}

/// The sum of weights[i] (a[i] - b[i]).
double weighted_difference(const double *weights, const float *a, const float *b, size_t count) {
  double sums[kParts] = {};
  const size_t whole = count - count % kParts;
  for (size_t i = 0; i < whole; i += kParts)
    for (size_t j = 0; j < kParts; j++) sums[j] += weights[i + j] * (double(a[i + j]) - double(b[i + j]));
  double sum = 0;
  for (const double part : sums) sum += part;
  for (size_t i = whole; i < count; i++) sum += weights[i] * (double(a[i]) - double(b[i]));
  return sum;
}

}  // namespace

Distribution::Distribution(const float *row, size_t count)
    : logits(row), top(size_t(std::max_element(row, row + count) - row)), powers(count) {
  total = Clones<&powers_of>::call(row, count, row[top], powers.data());
  log_sum = row[top] + std::log(total);
}

double divergence(const Distribution &p, const Distribution &q, size_t count) {
  const double mean = Clones<&weighted_difference>::call(p.powers.data(), p.logits, q.logits, count) / p.total;
  return std::max(0.0, mean - p.log_sum + q.log_sum);
}

}  // namespace gsic
