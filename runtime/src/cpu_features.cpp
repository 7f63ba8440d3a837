// Which instruction sets this CPU has, less those that GSIC_CPU hides.
#include <cstdlib>
#include <cstring>

#include "device.h"
#include "error.h"

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
        GSIC_FEATURE("sse3"),         GSIC_FEATURE("ssse3"),
        GSIC_FEATURE("sse4.1"),       GSIC_FEATURE("sse4.2"),
        GSIC_FEATURE("popcnt"),       GSIC_FEATURE("avx"),
        GSIC_FEATURE("avx2"),         GSIC_FEATURE("fma"),
        GSIC_FEATURE("f16c"),         GSIC_FEATURE("bmi"),
        GSIC_FEATURE("bmi2"),         GSIC_FEATURE("avx512f"),
        GSIC_FEATURE("avx512bw"),     GSIC_FEATURE("avx512vl"),
        GSIC_FEATURE("avx512dq"),     GSIC_FEATURE("avx512cd"),
        GSIC_FEATURE("avx512vbmi"),   GSIC_FEATURE("avx512vbmi2"),
        GSIC_FEATURE("avx512vnni"),   GSIC_FEATURE("avx512bf16"),
        GSIC_FEATURE("avx512bitalg"), GSIC_FEATURE("avx512vpopcntdq"),
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

/// A value of GSIC_CPU, and how the names of the features begin that it hides; null: it hides none.
struct Mask {
  const char *value;
  const char *hides;
};
constexpr Mask kMasks[] = {{"avx512", nullptr}, {"avx2", "avx512"}, {"portable", ""}};

/// What GSIC_CPU asks for; null if it is not set, or empty.
const Mask *mask() {
  const char *value = std::getenv("GSIC_CPU");
  if (value == nullptr || *value == 0) return nullptr;
  std::vector<std::string> known;
  for (const Mask &one : kMasks) {
    if (std::strcmp(one.value, value) == 0) return &one;
    known.push_back(one.value);
  }
  throw Error(GSIC_INVALID_ARGUMENT,
              std::string("the variable GSIC_CPU is '") + value + "', which is none of: " + comma_separated(known),
              "unset it to use all that this CPU has");
}

bool hides(const Mask *mask, const std::string &feature) {
  return mask != nullptr && mask->hides != nullptr && feature.rfind(mask->hides, 0) == 0;
}

bool has(const std::string &wanted) {
  for (const Feature &feature : features_of_this_cpu())
    if (feature.present && wanted == feature.name) return true;
  return false;
}

}  // namespace

std::string cpu_mask() {
  const Mask *found = mask();
  return found == nullptr ? "" : found->value;
}

std::vector<std::string> cpu_features() {
  const Mask *masked = mask();
  std::vector<std::string> present;
  for (const Feature &feature : features_of_this_cpu())
    if (feature.present && !hides(masked, feature.name)) present.push_back(feature.name);
  return present;
}

std::string why_not_on_this_cpu(const std::vector<std::string> &features) {
  const Mask *masked = mask();
  for (const std::string &wanted : features) {
    if (!has(wanted)) return "this machine has no " + wanted;
    if (hides(masked, wanted)) return "GSIC_CPU=" + cpu_mask() + " hides this machine's " + wanted;
  }
  return "";
}

}  // namespace gsic
