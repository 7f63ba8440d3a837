// Which instruction sets this CPU has.
#include <cstring>

#include "device.h"

namespace gsic {
namespace {

struct Feature {
  const char *name;
  bool present;
};

#if defined(__x86_64__)
// __builtin_cpu_supports takes literals only.
#define GSIC_FEATURE(name) {name, __builtin_cpu_supports(name) != 0}
const std::vector<Feature> &features_of_this_cpu() {
  static const std::vector<Feature> features = [] {
    __builtin_cpu_init();
    return std::vector<Feature>{
        GSIC_FEATURE("sse3"),         GSIC_FEATURE("ssse3"),      GSIC_FEATURE("sse4.1"),
        GSIC_FEATURE("sse4.2"),       GSIC_FEATURE("popcnt"),     GSIC_FEATURE("avx"),
        GSIC_FEATURE("avx2"),         GSIC_FEATURE("fma"),        GSIC_FEATURE("f16c"),
        GSIC_FEATURE("bmi"),          GSIC_FEATURE("bmi2"),       GSIC_FEATURE("avx512f"),
        GSIC_FEATURE("avx512bw"),     GSIC_FEATURE("avx512vl"),   GSIC_FEATURE("avx512dq"),
        GSIC_FEATURE("avx512cd"),     GSIC_FEATURE("avx512vbmi"), GSIC_FEATURE("avx512vbmi2"),
        GSIC_FEATURE("avx512vnni"),   GSIC_FEATURE("avx512bf16"), GSIC_FEATURE("avx512bitalg"),
        GSIC_FEATURE("avx512vpopcntdq"),
    };
  }();
  return features;
}
#undef GSIC_FEATURE
#else
const std::vector<Feature> &features_of_this_cpu() {
  static const std::vector<Feature> features;
  return features;
}
#endif

}  // namespace

std::vector<std::string> cpu_features() {
  std::vector<std::string> present;
  for (const Feature &feature : features_of_this_cpu())
    if (feature.present) present.push_back(feature.name);
  return present;
}

std::string missing_cpu_feature(const std::vector<std::string> &features) {
  for (const std::string &wanted : features) {
    bool present = false;
    for (const Feature &feature : features_of_this_cpu()) present |= feature.present && wanted == feature.name;
    if (!present) return wanted;
  }
  return "";
}

}  // namespace gsic
