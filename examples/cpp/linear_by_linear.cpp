// linear_by_linear MODE MODEL.safetensors LAYERS HEADS ID...: the logits of the last of these tokens, as whole_model
// prints them. This program is the host: it computes a GPT-2's embeddings, norms, attention, activations and sums, and
// leaves the linears alone to gsic.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include "gsic.hpp"
#include "tensors.hpp"

namespace {

using Values = std::vector<float>;  ///< [tokens, width]

/// The linears of a model, by the weight's name in the checkpoint.
class Linears {
 public:
  Linears(gsic_model *model, const char *mode) : linears_(example::open_linears(model, mode)) {
    for (size_t i = 0; i < gsic_linears_count(linears_.get()); i++) {
      gsic_linear_info info = {};
      example::check(gsic_linears_describe(linears_.get(), i, &info));
      // Query, key and value are parts of one tensor, and columns of one call.
      if (info.first == 0) by_tensor_[info.tensor] = info;
    }
  }

  /// W x + b for x [tokens, d].
  Values operator()(const std::string &tensor, const Values &x) const {
    const gsic_linear_info &info = by_tensor_.at(tensor);
    const size_t tokens = x.size() / info.d;
    Values y(tokens * info.width);
    example::check(gsic_linears_run(linears_.get(), info.call, x.data(), tokens, y.data()));
    return y;
  }

 private:
  example::Owned<gsic_linears> linears_;
  std::map<std::string, gsic_linear_info> by_tensor_;
};

Values layer_norm(const Values &x, const Values &gain, const Values &bias) {
  const size_t d = gain.size();
  Values y(x.size());
  for (size_t t = 0; t < x.size(); t += d) {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < d; i++) mean += x[t + i] / double(d);
    for (size_t i = 0; i < d; i++) variance += (x[t + i] - mean) * (x[t + i] - mean) / double(d);
    for (size_t i = 0; i < d; i++) y[t + i] = float((x[t + i] - mean) / std::sqrt(variance + 1e-5) * gain[i] + bias[i]);
  }
  return y;
}

/// Causal attention over qkv [tokens, 3 d].
Values attend(const Values &qkv, size_t d, size_t heads) {
  const size_t tokens = qkv.size() / (3 * d), width = d / heads;
  Values y(tokens * d);
  for (size_t t = 0; t < tokens; t++)
    for (size_t head = 0; head < heads; head++) {
      const float *query = &qkv[t * 3 * d + head * width];
      std::vector<double> weights(t + 1);
      for (size_t s = 0; s <= t; s++) {
        const float *key = &qkv[s * 3 * d + d + head * width];
        for (size_t i = 0; i < width; i++) weights[s] += double(query[i]) * key[i] / std::sqrt(double(width));
      }
      const double largest = *std::max_element(weights.begin(), weights.end());
      double sum = 0;
      for (double &weight : weights) sum += weight = std::exp(weight - largest);
      for (size_t s = 0; s <= t; s++)
        for (size_t i = 0; i < width; i++)
          y[t * d + head * width + i] += float(weights[s] / sum * qkv[s * 3 * d + 2 * d + head * width + i]);
    }
  return y;
}

float gelu(float x) {
  return float(0.5 * x * (1 + std::tanh(0.7978845608028654 * (double(x) + 0.044715 * double(x) * x * x))));
}

void add(Values &sum, const Values &x) {
  for (size_t i = 0; i < sum.size(); i++) sum[i] += x[i];
}

Values embed(const std::vector<size_t> &ids, const Values &tokens, const Values &positions, size_t d) {
  Values h(ids.size() * d);
  for (size_t t = 0; t < ids.size(); t++)
    for (size_t i = 0; i < d; i++) h[t * d + i] = tokens.at(ids[t] * d + i) + positions.at(t * d + i);
  return h;
}

}  // namespace

int main(int count, char **arguments) try {
  if (count < 6) throw std::runtime_error("give a mode, a checkpoint, its layers and heads, and token ids");
  example::Tensors tensors(arguments[2]);
  const size_t layers = std::stoul(arguments[3]), heads = std::stoul(arguments[4]);
  std::vector<size_t> ids;
  for (int i = 5; i < count; i++) ids.push_back(std::stoul(arguments[i]));
  const auto model = example::open_model(GSIC_BUNDLE);
  const Linears linear(model.get(), arguments[1]);
  const auto norm = [&](const Values &x, const std::string &name) {
    return layer_norm(x, tensors.read(name + ".weight"), tensors.read(name + ".bias"));
  };

  const size_t d = tensors.read("transformer.ln_f.bias").size();
  Values h = embed(ids, tensors.read("transformer.wte.weight"), tensors.read("transformer.wpe.weight"), d);
  for (size_t layer = 0; layer < layers; layer++) {
    const std::string name = "transformer.h." + std::to_string(layer);
    const Values qkv = linear(name + ".attn.c_attn.weight", norm(h, name + ".ln_1"));
    add(h, linear(name + ".attn.c_proj.weight", attend(qkv, d, heads)));
    Values inner = linear(name + ".mlp.c_fc.weight", norm(h, name + ".ln_2"));
    for (float &value : inner) value = gelu(value);
    add(h, linear(name + ".mlp.c_proj.weight", inner));
  }
  const Values last(h.end() - long(d), h.end());
  for (float logit : linear("transformer.wte.weight", norm(last, "transformer.ln_f")))
    std::printf("%.9g\n", double(logit));
  return 0;
} catch (const std::exception &error) {
  std::fprintf(stderr, "linear_by_linear: %s\n", error.what());
  return 1;
}
