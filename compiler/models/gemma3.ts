import type { Graph } from "../ir/graph.js";
import type { Weights } from "../read/weights.js";
import { activationOf } from "./activations.js";
import { type DecoderShape, decoder, type LayerShape } from "./decoder.js";
import { ggufNames, huggingFaceNames } from "./decoder-names.js";
import { configOf, ggufSettings, ggufShape, huggingFaceShape, ropeScaling } from "./decoder-settings.js";
import type { Settings } from "./settings.js";

/**
 * The text model of Gemma 3 (model_type gemma3_text), as Hugging Face or llama.cpp stores it: Llama with norms of each
 * head of query and key and norms before each residual, scaled token embeddings, and layers that see a window and rotate
 * by other angles than those that see everything. Folders hold the gains of norms less 1.
 */
export function gemma3(weights: Weights, name: string): Graph {
  const shape = weights.kind === "gguf" ? fromGguf(weights) : fromHuggingFace(weights);
  return decoder(weights, name, "gemma3_text", { ...shape, embeddingScale: Math.sqrt(shape.hidden) });
}

type LayerType = "full_attention" | "sliding_attention";

/** Every `pattern`-th layer sees everything. */
function layerType(index: number, pattern: number): LayerType {
  return (index + 1) % pattern === 0 ? "full_attention" : "sliding_attention";
}

function fromHuggingFace(weights: Weights): DecoderShape {
  const settings = configOf(weights);
  refuseSoftcapping(settings);
  if (settings.flag("use_bidirectional_attention", false)) {
    throw settings.unsupported("use_bidirectional_attention", ["false"]);
  }
  const defaults = { headDim: 256, kvHeads: 4, context: 131072, epsilon: 1e-6, tied: true };
  const layers = layerShapes(settings);
  const shape = huggingFaceShape(settings, defaults, layers.full_attention);
  const pattern = settings.size("sliding_window_pattern", 6);
  const types: readonly LayerType[] = settings.has("layer_types")
    ? settings.words("layer_types", shape.layers, ["full_attention", "sliding_attention"])
    : Array.from({ length: shape.layers }, (_, index) => layerType(index, pattern));
  const biased = settings.flag("attention_bias", false);
  return {
    ...shape,
    activation: activationOf(settings, "hidden_activation", "gelu_pytorch_tanh"),
    scale: 1 / Math.sqrt(settings.positive("query_pre_attn_scalar", 256)),
    gainPlus: 1,
    layer: (index) => layers[types[index]!],
    names: {
      ...huggingFaceNames,
      queryNorm: "self_attn.q_norm",
      keyNorm: "self_attn.k_norm",
      attentionPostNorm: "post_attention_layernorm",
      mlpNorm: "pre_feedforward_layernorm",
      mlpPostNorm: "post_feedforward_layernorm",
      hasBias: (linear) => biased && linear.includes(".self_attn."),
    },
  };
}

/** The two kinds of layers: `rope_parameters` has a table for each, older files have `rope_local_base_freq`. */
function layerShapes(settings: Settings): Readonly<Record<LayerType, LayerShape>> {
  const tables = settings.table("rope_parameters");
  const full = tables?.table("full_attention") ?? null;
  const sliding = tables?.table("sliding_attention") ?? null;
  const scaling = settings.table("rope_scaling") ?? full;
  return {
    full_attention: {
      theta: (full?.has("rope_theta") ? full : settings).positive("rope_theta", 1e6),
      scaling: scaling === null ? { kind: "none" } : ropeScaling(scaling),
      window: null,
    },
    sliding_attention: {
      theta: sliding?.has("rope_theta")
        ? sliding.positive("rope_theta")
        : settings.positive("rope_local_base_freq", 10000),
      scaling: sliding === null ? { kind: "none" } : ropeScaling(sliding),
      window: settings.size("sliding_window", 4096),
    },
  };
}

function fromGguf(weights: Weights): DecoderShape {
  const settings = ggufSettings(weights, "gemma3");
  refuseSoftcapping(settings);
  const shape = ggufShape(settings, weights);
  const pattern = settings.size("attention.sliding_window_pattern", 6);
  const layers: Readonly<Record<LayerType, LayerShape>> = {
    full_attention: { ...shape.layer(0), window: null },
    sliding_attention: {
      theta: settings.positive("rope.freq_base_swa", 10000),
      scaling: { kind: "none" },
      window: settings.size("attention.sliding_window"),
    },
  };
  // llama.cpp tells the 27B model, whose query_pre_attn_scalar is hidden / heads, by its 62 layers.
  const scalar = shape.layers === 62 ? shape.hidden / shape.heads : shape.headDim;
  return {
    ...shape,
    activation: "gelu_tanh",
    scale: 1 / Math.sqrt(scalar),
    layer: (index) => layers[layerType(index, pattern)],
    names: {
      ...ggufNames(weights),
      queryNorm: "attn_q_norm",
      keyNorm: "attn_k_norm",
      attentionPostNorm: "post_attention_norm",
      mlpPostNorm: "post_ffw_norm",
    },
  };
}

function refuseSoftcapping(settings: Settings): void {
  for (const key of ["attn_logit_softcapping", "final_logit_softcapping"]) {
    if (settings.has(key)) throw settings.unsupported(key, ["none"]);
  }
}
