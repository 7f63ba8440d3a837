#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "error.h"
#include "scan.h"

namespace gsic {
namespace {

/// A bijection of 64 bits in which every bit of the result depends on every bit of `x` (the finaliser of MurmurHash3,
/// with the constants of Stafford's variant 13).
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;  ///< 2^64 / golden ratio

/// The two candidates that arrive first.
struct Podium {
  int32_t id = -1;
  double first = std::numeric_limits<double>::infinity(), second = first;
};

/// Not less than 2^x, by at most 6.2 %, for x <= 0: the line between two powers of whole numbers lies above the curve.
double not_less_than_power(double x) {
  const int64_t bits = int64_t((std::max(x, -1000.0) + 1023) * 0x1p52 * (1 + 0x1p-40));
  double power;
  std::memcpy(&power, &bits, sizeof power);
  return power;
}

/// The order of candidates: most likely first, then lowest id.
constexpr auto before = [](const auto &a, const auto &b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
};

}  // namespace

Choice largest(const float *logits, size_t count) {
  const TopTwo top = top_two(logits, count);
  return {int32_t(std::find(logits, logits + count, top.first) - logits), top.first - top.second};
}

Sampler::Sampler(const gsic_sampling &options) : options_(options) {
  if (!(options.temperature >= 0) || std::isinf(options.temperature))
    throw Error(GSIC_INVALID_ARGUMENT, "the temperature is " + std::to_string(options.temperature),
                "it must be 0 (greedy) or above");
  if (!(options.top_p >= 0 && options.top_p <= 1))
    throw Error(GSIC_INVALID_ARGUMENT, "top_p is " + std::to_string(options.top_p), "it must be from 0 to 1");
  if (!(options.min_p >= 0 && options.min_p <= 1))
    throw Error(GSIC_INVALID_ARGUMENT, "min_p is " + std::to_string(options.min_p), "it must be from 0 to 1");
}

Choice Sampler::pick(const float *logits, size_t count, size_t position) {
  if (is_greedy()) return largest(logits, count);
  largest_ = top_two(logits, count).first;
  const bool some = options_.top_k > 0 && options_.top_k < count, nucleus = options_.top_p > 0 && options_.top_p < 1;
  if (!some && !nucleus) return race(count, position, [logits](size_t i) { return Candidate{int32_t(i), logits[i]}; });
  candidates_.resize(count);
  for (size_t i = 0; i < count; i++) candidates_[i] = {int32_t(i), logits[i]};
  size_t kept = count;
  if (some) {
    kept = options_.top_k;
    std::partial_sort(candidates_.begin(), candidates_.begin() + kept, candidates_.end(), before);
  }
  if (nucleus) {
    double total = 0;
    if (some)
      for (size_t i = 0; i < kept; i++) total += weight(candidates_[i].logit);
    else
      total = sum_of_weights(logits, count, largest_, options_.temperature);
    kept = keep_top_p(kept, total);
  }
  return race(kept, position, [this](size_t i) { return candidates_[i]; });
}

double Sampler::weight(float logit) const { return std::exp((double(logit) - largest_) / options_.temperature); }

size_t Sampler::keep_top_p(size_t kept, double total) {
  double reached = 0;
  // Few tokens hold most of the probability: sort only as many as are needed, in growing steps.
  for (size_t sorted = 0, step = 64; sorted < kept; step *= 4) {
    const size_t end = std::min(kept, sorted + step);
    std::partial_sort(candidates_.begin() + sorted, candidates_.begin() + end, candidates_.begin() + kept, before);
    for (; sorted < end; sorted++) {
      reached += weight(candidates_[sorted].logit);
      if (reached >= double(options_.top_p) * total) return sorted + 1;
    }
  }
  return kept;
}

template <class Candidates> Choice Sampler::race(size_t kept, size_t position, Candidates candidates) const {
  const uint64_t key = mix(mix(options_.seed + kGolden) + position);
  const double octaves = kOctaves / options_.temperature;
  // The log of 0 is minus infinity, which no logit is below.
  const double least = largest_ + options_.temperature * std::log(double(options_.min_p));
  Podium podium;
  for (size_t i = 0; i < kept; i++) {
    const auto [id, logit] = candidates(i);
    if (double(logit) < least) continue;
    const double u = double(int64_t(mix(key + uint64_t(id) * kGolden) >> 11) + 1) * 0x1p-53;  // of (0, 1]
    // -log u is not less than 1 - u: most candidates lose without a logarithm, and by a bound of their weight.
    if (!(1 - u <= podium.second * not_less_than_power((double(logit) - largest_) * octaves))) continue;
    const double weight = this->weight(logit);
    if (!(1 - u <= podium.second * weight)) continue;
    const double arrival = -std::log(u) / weight;
    if (arrival < podium.first || (arrival == podium.first && id < podium.id)) {
      podium.second = podium.first;
      podium.first = arrival;
      podium.id = id;
    } else {
      podium.second = std::min(podium.second, arrival);
    }
  }
  return {podium.id, float(std::log(podium.second) - std::log(podium.first))};
}

}  // namespace gsic
