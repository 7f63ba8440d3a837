#include "sampling.h"

#include "arguments.h"
#include "failure.h"

namespace gsic_addon {

Sampling::Sampling(const Napi::Value &value) {
  if (!value.IsObject()) throw Failure(GSIC_INVALID_ARGUMENT, "sampling must be an object");
  const Napi::Object object = value.As<Napi::Object>();
  const auto real = [&object](const char *name) { return float(number(object.Get(name), name)); };
  options_.temperature = real("temperature");
  options_.top_k = uint32_t(whole_number(object.Get("topK"), "topK", UINT32_MAX));
  options_.top_p = real("topP");
  options_.min_p = real("minP");
  options_.seed = whole_bigint(object.Get("seed"), "seed");
  options_.repetition_penalty = real("repetitionPenalty");
  options_.presence_penalty = real("presencePenalty");
  options_.frequency_penalty = real("frequencyPenalty");
  const std::vector<int32_t> ids = ids_of(object.Get("biasIds"));
  const Napi::Value biases = object.Get("biases");
  if (!biases.IsArray() || biases.As<Napi::Array>().Length() != ids.size())
    throw Failure(GSIC_INVALID_ARGUMENT, "biases must be an array with a number for each of biasIds");
  for (size_t i = 0; i < ids.size(); i++)
    bias_.push_back({ids[i], float(number(biases.As<Napi::Array>().Get(uint32_t(i)), "a bias"))});
}

gsic_sampling Sampling::options() const {
  gsic_sampling options = options_;
  options.bias = bias_.data();
  options.bias_count = bias_.size();
  return options;
}

Napi::Object Told::to_object(Napi::Env env) const {
  Napi::Int32Array ids = Napi::Int32Array::New(env, alternatives.size());
  Napi::Float32Array values = Napi::Float32Array::New(env, alternatives.size());
  for (size_t i = 0; i < alternatives.size(); i++) {
    ids.Data()[i] = alternatives[i].id;
    values.Data()[i] = alternatives[i].log_probability;
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("logProbability", log_probability);
  object.Set("ofPrompt", of_prompt);
  object.Set("ends", ends);
  object.Set("ids", ids);
  object.Set("logProbabilities", values);
  return object;
}

}  // namespace gsic_addon
