import type { Graph, RopeScaling } from "../ir.js";
import type { Weights } from "../read/weights.js";
import { activationOf } from "./activations.js";
import { GraphBuilder } from "./builder.js";
import { Settings } from "./settings.js";

/** What the two containers of the Llama family say in different words. */
interface Shape {
  readonly hidden: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly rotaryDim: number;
  readonly vocabulary: number;
  readonly context: number;
  readonly epsilon: number;
  readonly activation: ReturnType<typeof activationOf>;
  readonly theta: number;
  readonly scaling: RopeScaling;
  /** GGUF files store query and key rows permuted, so that neighbouring channels turn together. */
  readonly pairing: "half" | "adjacent";
  readonly tied: boolean;
  readonly names: TensorNames;
}

interface TensorNames {
  readonly embedding: string;
  readonly finalNorm: string;
  readonly head: string;
  readonly layer: (index: number) => string;
  readonly attentionNorm: string;
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly attentionOut: string;
  readonly mlpNorm: string;
  readonly gate: string;
  readonly up: string;
  readonly down: string;
  readonly ignorable: (tensor: string) => boolean;
}

const huggingFaceNames: TensorNames = {
  embedding: "model.embed_tokens",
  finalNorm: "model.norm",
  head: "lm_head",
  layer: (index) => `model.layers.${index}`,
  attentionNorm: "input_layernorm",
  query: "self_attn.q_proj",
  key: "self_attn.k_proj",
  value: "self_attn.v_proj",
  attentionOut: "self_attn.o_proj",
  mlpNorm: "post_attention_layernorm",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
  ignorable: (tensor) => tensor.endsWith(".rotary_emb.inv_freq"),
};

const ropeDivisors = "rope_freqs.weight";

const ggufNames: TensorNames = {
  embedding: "token_embd",
  finalNorm: "output_norm",
  head: "output",
  layer: (index) => `blk.${index}`,
  attentionNorm: "attn_norm",
  query: "attn_q",
  key: "attn_k",
  value: "attn_v",
  attentionOut: "attn_output",
  mlpNorm: "ffn_norm",
  gate: "ffn_gate",
  up: "ffn_up",
  down: "ffn_down",
  ignorable: (tensor) => tensor === ropeDivisors,
};

/**
 * The Llama family (Llama, SmolLM2, TinyLlama): RMS norms, rotary positions, grouped-query attention, and an MLP
 * silu(gate) * up. Reads Hugging Face folders and GGUF files.
 */
export function llama(weights: Weights, name: string): Graph {
  const shape = weights.kind === "gguf" ? ggufShape(weights) : huggingFaceShape(weights);
  const { hidden, inner, heads, kvHeads, headDim, rotaryDim, theta, scaling, pairing, names } = shape;
  const build = new GraphBuilder(weights);
  const table = build.matrix(`${names.embedding}.weight`, shape.vocabulary, hidden);
  let x = build.embedding("tokens", "token", table);
  for (let layer = 0; layer < shape.layers; layer++) {
    const block = names.layer(layer);
    const id = (part: string) => `layer${layer}_${part}`;
    const linear = (part: string, input: string, tensor: string, out: number, d: number) => {
      const bias = weights.info(`${block}.${tensor}.bias`) !== undefined;
      return build.linear(id(part), input, { tensor: `${block}.${tensor}`, out, d, bias });
    };
    const rope = (part: string, input: string, count: number) =>
      build.rope(id(part), input, { heads: count, headDim, rotaryDim, pairing, theta, scaling });

    const norm = `${block}.${names.attentionNorm}`;
    const attentionNorm = build.norm(id("attention_norm"), x, norm, hidden, shape.epsilon, false);
    const query = linear("query", attentionNorm, names.query, heads * headDim, hidden);
    const key = linear("key", attentionNorm, names.key, kvHeads * headDim, hidden);
    const value = linear("value", attentionNorm, names.value, kvHeads * headDim, hidden);
    const attended = build.attention(
      id("attention"),
      rope("query_rope", query, heads),
      rope("key_rope", key, kvHeads),
      value,
      { heads, kvHeads, headDim, scale: 1 / Math.sqrt(headDim) },
    );
    const projected = linear("attention_out", attended, names.attentionOut, hidden, heads * headDim);
    x = build.add(id("attention_residual"), x, projected);

    const mlpNorm = build.norm(id("mlp_norm"), x, `${block}.${names.mlpNorm}`, hidden, shape.epsilon, false);
    const gate = linear("gate", mlpNorm, names.gate, inner, hidden);
    const up = linear("up", mlpNorm, names.up, inner, hidden);
    const activated = build.multiply(
      id("mlp"),
      build.activation(id("activation"), gate, shape.activation),
      up,
    );
    x = build.add(id("mlp_residual"), x, linear("down", activated, names.down, hidden, inner));
  }
  const last = build.norm("final_norm", x, names.finalNorm, hidden, shape.epsilon, false);
  const head = shape.tied ? table : build.matrix(`${names.head}.weight`, shape.vocabulary, hidden);
  const output = build.tiedLinear("logits", last, head);
  const nodes = build.finish(
    (tensor) => names.ignorable(tensor) || (shape.tied && tensor === `${names.head}.weight`),
  );
  return { name, family: "llama", vocabulary: shape.vocabulary, context: shape.context, nodes, output };
}

function huggingFaceShape(weights: Weights): Shape {
  const settings = new Settings(`${weights.source}/config.json`, (key) => weights.config?.[key]);
  const hidden = settings.size("hidden_size");
  const heads = settings.size("num_attention_heads");
  const kvHeads = settings.size("num_key_value_heads", heads);
  if (!settings.has("head_dim") && hidden % heads !== 0) {
    const message = `hidden_size = ${hidden} is not a multiple of num_attention_heads = ${heads}`;
    throw settings.inconsistent("num_attention_heads", message);
  }
  checkHeads(settings, "num_key_value_heads", heads, kvHeads);
  const headDim = settings.size("head_dim", hidden / heads);
  const rope = settings.table("rope_parameters") ?? settings.table("rope_scaling");
  const theta = settings.number("rope_theta", rope?.number("rope_theta", 10000) ?? 10000);
  return {
    hidden,
    inner: settings.size("intermediate_size"),
    layers: settings.size("num_hidden_layers"),
    heads,
    kvHeads,
    headDim,
    rotaryDim: headDim,
    vocabulary: settings.size("vocab_size"),
    context: settings.size("max_position_embeddings", 2048),
    epsilon: settings.positive("rms_norm_eps", 1e-6),
    activation: activationOf(settings, "hidden_act", "silu"),
    theta,
    scaling: rope === null ? { kind: "none" } : ropeScaling(rope),
    pairing: "half",
    tied: settings.flag("tie_word_embeddings", false),
    names: huggingFaceNames,
  };
}

function ropeScaling(rope: Settings): RopeScaling {
  const key = rope.has("rope_type") ? "rope_type" : "type";
  switch (rope.text(key, "default")) {
    case "default":
      return { kind: "none" };
    case "linear":
      return { kind: "linear", factor: rope.number("factor") };
    case "llama3":
      return {
        kind: "llama3",
        factor: rope.number("factor"),
        lowFrequencyFactor: rope.number("low_freq_factor"),
        highFrequencyFactor: rope.number("high_freq_factor"),
        originalContext: rope.size("original_max_position_embeddings"),
      };
    default:
      throw rope.unsupported(key, ["default", "linear", "llama3"]);
  }
}

function ggufShape(weights: Weights): Shape {
  const settings = new Settings(weights.source, (key) => weights.metadata?.get(key));
  const hidden = settings.size("llama.embedding_length");
  const heads = settings.size("llama.attention.head_count");
  const kvHeads = settings.size("llama.attention.head_count_kv", heads);
  checkHeads(settings, "llama.attention.head_count_kv", heads, kvHeads);
  if (!settings.has("llama.attention.key_length") && hidden % heads !== 0) {
    const message = `embedding_length = ${hidden} is not a multiple of head_count = ${heads}`;
    throw settings.inconsistent("llama.attention.head_count", message);
  }
  const headDim = settings.size("llama.attention.key_length", hidden / heads);
  const embedding = weights.info("token_embd.weight");
  return {
    hidden,
    inner: settings.size("llama.feed_forward_length"),
    layers: settings.size("llama.block_count"),
    heads,
    kvHeads,
    headDim,
    rotaryDim: settings.size("llama.rope.dimension_count", headDim),
    vocabulary: settings.size("llama.vocab_size", embedding?.shape[0]),
    context: settings.size("llama.context_length"),
    epsilon: settings.positive("llama.attention.layer_norm_rms_epsilon"),
    activation: "silu",
    theta: settings.number("llama.rope.freq_base", 10000),
    scaling: ggufRopeScaling(settings, weights),
    pairing: "adjacent",
    tied: weights.info("output.weight") === undefined,
    names: ggufNames,
  };
}

function ggufRopeScaling(settings: Settings, weights: Weights): RopeScaling {
  const divisors = weights.info(ropeDivisors);
  if (divisors !== undefined) {
    const vector = { tensor: ropeDivisors, length: divisors.shape[0] ?? 0, first: 0 };
    return { kind: "divisors", divisors: Array.from(weights.readVector(vector)) };
  }
  const key = "llama.rope.scaling.type";
  switch (settings.text(key, "none")) {
    case "none":
      return { kind: "none" };
    case "linear":
      return { kind: "linear", factor: settings.number("llama.rope.scaling.factor") };
    default:
      throw settings.unsupported(key, ["none", "linear"]);
  }
}

function checkHeads(settings: Settings, key: string, heads: number, kvHeads: number): void {
  if (heads % kvHeads !== 0) {
    throw settings.inconsistent(key, `${heads} query heads are not a multiple of ${kvHeads} key-value heads`);
  }
}
