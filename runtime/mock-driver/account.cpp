#include "account.h"

#include <cstdio>

#include "settings.h"

namespace gsic_mock {

Account::Traffic &Account::kernel(const std::string &symbol, size_t arguments) {
  for (Traffic &known : kernels_)
    if (known.symbol == symbol && known.loaded.size() == arguments) return known;
  kernels_.push_back({symbol, 0, std::vector<uint64_t>(arguments), std::vector<uint64_t>(arguments)});
  return kernels_.back();
}

void Account::allocate_on(int device) {
  if (devices_.size() <= size_t(device)) devices_.resize(size_t(device) + 1);
  devices_[size_t(device)]++;
}

void Account::write() const {
  if (settings().account.empty()) return;
  std::FILE *file = std::fopen(settings().account.c_str(), "w");
  if (file == nullptr) {
    std::perror(settings().account.c_str());
    return;
  }
  const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  std::fprintf(file, "{\"live_allocations\":%zu,\"launches\":%llu,\"graph_launches\":%llu,\"bytes_to_host\":%llu,",
               live_allocations, number(launches), number(graph_launches), number(bytes_to_host));
  std::fprintf(file, "\"devices\":[");
  for (size_t i = 0; i < devices_.size(); i++) std::fprintf(file, "%s%llu", i > 0 ? "," : "", number(devices_[i]));
  std::fprintf(file, "],\"kernels\":[");
  for (size_t i = 0; i < kernels_.size(); i++) {
    const Traffic &one = kernels_[i];
    std::fprintf(file, "%s\n{\"symbol\":\"%s\",\"launches\":%llu,\"arguments\":[", i > 0 ? "," : "", one.symbol.c_str(),
                 number(one.launches));
    for (size_t j = 0; j < one.loaded.size(); j++)
      std::fprintf(file, "%s{\"loaded\":%llu,\"stored\":%llu}", j > 0 ? "," : "", number(one.loaded[j]),
                   number(one.stored[j]));
    std::fprintf(file, "]}");
  }
  std::fprintf(file, "]}\n");
  std::fclose(file);
}

}  // namespace gsic_mock
