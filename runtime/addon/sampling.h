// What JavaScript says about how tokens are chosen, and what it is told of them.
#ifndef GSIC_ADDON_SAMPLING_H
#define GSIC_ADDON_SAMPLING_H

#include <vector>

#include "gsic.h"
#include "napi_cpp.h"

namespace gsic_addon {

/// A gsic_sampling that owns its biases.
class Sampling {
 public:
  /// { temperature, topK, topP, minP, seed: bigint, repetitionPenalty, presencePenalty, frequencyPenalty,
  /// biasIds: Int32Array, biases: number[] }. Throws Failure (GSIC_INVALID_ARGUMENT).
  explicit Sampling(const Napi::Value &value);

  /// Valid as long as this.
  gsic_sampling options() const;

 private:
  gsic_sampling options_ = {};
  std::vector<gsic_bias> bias_;
};

/// { logProbability: number, ofPrompt: boolean, ends: boolean, ids: Int32Array, logProbabilities: Float32Array }: how
/// likely a token was, and the likeliest ones in its place.
struct Told {
  float log_probability = 0;
  bool of_prompt = false, ends = false;
  std::vector<gsic_alternative> alternatives;
  Napi::Object to_object(Napi::Env env) const;
};

}  // namespace gsic_addon

#endif
