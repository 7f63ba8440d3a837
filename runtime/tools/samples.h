// Repeated measurements of one thing.
#ifndef GSIC_TOOLS_SAMPLES_H
#define GSIC_TOOLS_SAMPLES_H

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

namespace gsic {

struct Samples {
  std::vector<double> values;

  void add(double value) { values.push_back(value); }
  bool empty() const { return values.empty(); }
  /// Of at least one value.
  double median() const {
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    const size_t middle = sorted.size() / 2;
    return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
  /// Of at least one value.
  double mean() const { return std::accumulate(values.begin(), values.end(), 0.0) / double(values.size()); }
  /// Median, mean and spread; null where nothing was measured.
  nlohmann::ordered_json json() const {
    if (empty()) return nullptr;
    return {{"median", median()},
            {"mean", mean()},
            {"least", *std::min_element(values.begin(), values.end())},
            {"most", *std::max_element(values.begin(), values.end())}};
  }
};

}  // namespace gsic

#endif
