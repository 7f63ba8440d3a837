import type { Graph } from "../ir/graph.js";
import type { Weights } from "../read/weights.js";
import { type DecoderShape, decoder } from "./decoder.js";
import { huggingFaceNames } from "./decoder-names.js";
import { configOf, ggufSettings, ggufShape, huggingFaceShape } from "./decoder-settings.js";
import type { Settings } from "./settings.js";

/** Qwen2 and Qwen2.5, as Hugging Face or llama.cpp stores it: Llama with biases on query, key and value. */
export function qwen2(weights: Weights, name: string): Graph {
  const hasBias = (linear: string) => /[._](q|k|v)(_proj)?$/.test(linear);
  const { names, ...shape } =
    weights.kind === "gguf" ? fromGguf(weights, "qwen2") : fromHuggingFace(weights, {});
  return decoder(weights, name, "qwen2", { ...shape, names: { ...names, hasBias } });
}

/** Qwen3, as Hugging Face or llama.cpp stores it: Llama with RMS norms of each head of query and key. */
export function qwen3(weights: Weights, name: string): Graph {
  if (weights.kind === "gguf") {
    const shape = fromGguf(weights, "qwen3");
    const names = { ...shape.names, queryNorm: "attn_q_norm", keyNorm: "attn_k_norm" };
    return decoder(weights, name, "qwen3", { ...shape, names });
  }
  const biased = configOf(weights).flag("attention_bias", false);
  const names = {
    ...huggingFaceNames,
    queryNorm: "self_attn.q_norm",
    keyNorm: "self_attn.k_norm",
    hasBias: (linear: string) => biased && linear.includes(".self_attn."),
  };
  return decoder(weights, name, "qwen3", { ...fromHuggingFace(weights, { headDim: 128 }), names });
}

function fromGguf(weights: Weights, architecture: string): DecoderShape {
  return ggufShape(ggufSettings(weights, architecture), weights);
}

function fromHuggingFace(weights: Weights, defaults: { readonly headDim?: number }): DecoderShape {
  const settings = configOf(weights);
  const classDefaults = { kvHeads: 32, context: 32768, epsilon: 1e-6, tied: false };
  const shape = huggingFaceShape(settings, { ...defaults, ...classDefaults });
  const windows = windowsOf(settings, shape.layers);
  return { ...shape, layer: (index) => ({ ...shape.layer(index), window: windows[index]! }) };
}

/** The window of each layer: `sliding_window` from layer `max_window_layers` on, where `use_sliding_window` says so. */
function windowsOf(settings: Settings, layers: number): readonly (number | null)[] {
  const used = settings.flag("use_sliding_window", false);
  const window = used ? settings.size("sliding_window", 4096) : null;
  const full = settings.count("max_window_layers", 28);
  const types = settings.has("layer_types")
    ? settings.words("layer_types", layers, ["full_attention", "sliding_attention"])
    : Array.from({ length: layers }, (_, index) => (index < full ? "full_attention" : "sliding_attention"));
  return types.map((type) => (type === "sliding_attention" ? window : null));
}
