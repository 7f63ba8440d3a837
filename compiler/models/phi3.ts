import type { Graph, RopeScaling } from "../ir/graph.js";
import type { Weights } from "../read/weights.js";
import { type DecoderShape, decoder } from "./decoder.js";
import { type DecoderNames, ggufNames, huggingFaceNames } from "./decoder-names.js";
import { configOf, ggufSettings, ggufShape, huggingFaceShape } from "./decoder-settings.js";

/**
 * Phi-3, as Hugging Face or llama.cpp stores it: Llama with one tensor for query, key and value, and one for gate and
 * up; a part of each head may be rotated. Of LongRoPE's two sets of frequencies gsic builds the one for sequences up to the
 * original context, which then is the model's context.
 */
export function phi3(weights: Weights, name: string): Graph {
  const shape = weights.kind === "gguf" ? fromGguf(weights) : fromHuggingFace(weights);
  return decoder(weights, name, "phi3", shape);
}

/** Names where linears on one value are rows of one tensor. */
function fused(names: DecoderNames, qkv: string, gateUp: string): DecoderNames {
  return { ...names, query: qkv, key: qkv, value: qkv, gate: gateUp, up: gateUp };
}

function fromHuggingFace(weights: Weights): DecoderShape {
  const settings = configOf(weights);
  const rope = settings.table("rope_scaling") ?? settings.table("rope_parameters");
  const theta = (rope?.has("rope_theta") ? rope : settings).positive("rope_theta", 10000);
  const plain = huggingFaceShape(
    settings,
    { context: 4096, epsilon: 1e-5, tied: false },
    { theta, scaling: { kind: "none" } },
  );
  const partial = (rope?.has("partial_rotary_factor") ? rope : settings).positive("partial_rotary_factor", 1);
  const rotaryDim = Math.trunc(plain.headDim * partial);
  settings.checkRotaryDim("partial_rotary_factor", rotaryDim, plain.headDim);
  const window = settings.has("sliding_window") ? settings.size("sliding_window") : null;
  const names = fused(huggingFaceNames, "self_attn.qkv_proj", "mlp.gate_up_proj");
  const shape = { ...plain, rotaryDim, names };
  const kind = rope?.has("rope_type") ? "rope_type" : "type";
  const type = rope?.text(kind, "default") ?? "default";
  if (rope === null || type === "default") return { ...shape, layer: () => ({ ...plain.layer(0), window }) };

  // "su" and "yarn" are what early configurations of Phi-3 called LongRoPE.
  if (!["longrope", "su", "yarn"].includes(type)) throw rope.unsupported(kind, ["default", "longrope"]);
  const context = settings.size("original_max_position_embeddings", 4096);
  const stretch = rope.positive("factor", shape.context / context);
  const scaling: RopeScaling = {
    kind: "longrope",
    divisors: rope.numbers("short_factor", rotaryDim / 2),
    attentionFactor: rope.positive(
      "attention_factor",
      stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(context)),
    ),
  };
  const layer = { theta, scaling, window };
  return { ...shape, context: Math.min(shape.context, context), layer: () => layer };
}

const [shortFactors, longFactors] = ["rope_factors_short.weight", "rope_factors_long.weight"] as const;

function fromGguf(weights: Weights): DecoderShape {
  const settings = ggufSettings(weights, "phi3");
  const type = settings.text("rope.scaling.type", "none");
  if (type !== "none" && type !== "longrope") {
    throw settings.unsupported("rope.scaling.type", ["none", "longrope"]);
  }
  const plain = ggufShape(settings, weights, { kind: "none" });
  const names = {
    ...fused(ggufNames(weights), "attn_qkv", "ffn_up"),
    ignorable: (tensor: string) => tensor === shortFactors || tensor === longFactors,
  };
  const divisors = weights.info(shortFactors);
  if (divisors === undefined) {
    if (type === "none") return { ...plain, names };
    throw settings.inconsistent("rope.scaling.type", `${type}, but there is no tensor ${shortFactors}`);
  }
  const vector = { tensor: shortFactors, length: divisors.shape[0] ?? 0, first: 0 };
  if (vector.length !== plain.rotaryDim / 2) {
    const message = `${shortFactors} has ${vector.length} elements for ${plain.rotaryDim / 2} pairs of channels`;
    throw settings.inconsistent("rope.dimension_count", message);
  }
  const scaling: RopeScaling = {
    kind: "longrope",
    divisors: Array.from(weights.readVector(vector)),
    attentionFactor: settings.positive("rope.scaling.attn_factor", 1),
  };
  const context = Math.min(plain.context, settings.size("rope.scaling.original_context_length"));
  const layer = { ...plain.layer(0), scaling };
  return { ...plain, context, names, layer: () => layer };
}
