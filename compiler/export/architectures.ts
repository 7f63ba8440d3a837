import type {
  ActivationFunction,
  AttentionNode,
  EmbeddingNode,
  Graph,
  Node,
  NormNode,
  RopeNode,
} from "../ir/graph.js";
import { partOf } from "../ir/walk.js";
import { GsicError } from "../support/errors.js";
import type { Fields } from "./tokenizer-entries.js";

/** What llama.cpp makes of a family's graph, which its file does not say, and calls its tensors. */
interface Architecture {
  /** `general.architecture`. */
  readonly name: string;
  /** The tensors of a layer by what they hold: ids of nodes within the layer. Several are stacked, in this order. */
  readonly layer: Readonly<Record<string, readonly string[]>>;
  /** The linears of a layer that may have a bias, by the names of their tensors; null: all. */
  readonly biased: readonly string[] | null;
  readonly activation: ActivationFunction;
  /** How the channels of a head are paired; llama.cpp wants rows of query and key in another order for `adjacent`. */
  readonly pairing: "half" | "adjacent";
  /** Whether one layer in so many sees everything, and the others a window; else all see everything. */
  readonly windows: boolean;
  /** Whether rotary divisors may stand in the tensor `rope_freqs.weight`. */
  readonly divisors: boolean;
}

const decoderLayer = {
  attn_norm: ["attention_norm"],
  attn_q: ["query"],
  attn_q_norm: ["query_norm"],
  attn_k: ["key"],
  attn_k_norm: ["key_norm"],
  attn_v: ["value"],
  attn_output: ["attention_out"],
  post_attention_norm: ["attention_post_norm"],
  ffn_norm: ["mlp_norm"],
  ffn_gate: ["gate"],
  ffn_up: ["up"],
  ffn_down: ["down"],
  post_ffw_norm: ["mlp_post_norm"],
} as const;

const decoder = {
  layer: decoderLayer,
  biased: [] as readonly string[],
  windows: false,
  divisors: false,
} as const;
const llama = {
  ...decoder,
  name: "llama",
  biased: null,
  activation: "silu",
  pairing: "adjacent",
  divisors: true,
} as const;

/** By the family of a graph. */
const architectures: Readonly<Record<string, Architecture>> = {
  llama,
  mistral: llama,
  qwen2: {
    ...decoder,
    name: "qwen2",
    biased: ["attn_q", "attn_k", "attn_v"],
    activation: "silu",
    pairing: "half",
  },
  qwen3: { ...decoder, name: "qwen3", activation: "silu", pairing: "half" },
  gemma3_text: { ...decoder, name: "gemma3", activation: "gelu_tanh", pairing: "half", windows: true },
  gpt2: {
    name: "gpt2",
    layer: {
      attn_norm: ["attention_norm"],
      attn_qkv: ["query", "key", "value"],
      attn_output: ["attention_out"],
      ffn_norm: ["mlp_norm"],
      ffn_up: ["up"],
      ffn_down: ["down"],
    },
    biased: null,
    activation: "gelu_tanh",
    pairing: "half",
    windows: false,
    divisors: false,
  },
};

/** The tensors that stand outside of the layers, by the id of the node. */
export const outerTensors: Readonly<Record<string, string>> = {
  tokens: "token_embd",
  positions: "position_embd",
  final_norm: "output_norm",
  logits: "output",
};

/** The architecture of a graph. Throws `export-family` (category usage) where llama.cpp knows none, or gsic does not. */
export function architectureOf({ family }: Graph, source: string): Architecture {
  const found = Object.hasOwn(architectures, family) ? architectures[family] : undefined;
  if (found !== undefined) return found;
  throw new GsicError({
    category: "usage",
    code: "export-family",
    message: `models of the family ${family} are not exported from folders of safetensors`,
    where: source,
    hint: `exported are ${Object.keys(architectures).join(", ")}; of other families build from a GGUF file, and export that`,
  });
}

/** What the graph's nodes say of the model, one of each kind. */
interface Parts {
  readonly tokens: EmbeddingNode;
  readonly attention: readonly AttentionNode[];
  readonly ropes: readonly RopeNode[];
  readonly norm: NormNode;
  readonly inner: number;
}

function partsOf({ nodes }: Graph): Parts {
  const of = <K extends Node["kind"]>(kind: K) =>
    nodes.filter((node): node is Extract<Node, { kind: K }> => node.kind === kind);
  return {
    tokens: of("embedding").find(({ index }) => index === "token")!,
    attention: of("attention"),
    ropes: of("rope"),
    norm: of("norm")[0]!,
    inner: of("linear").find(({ id }) => id.endsWith("_up"))!.weight.out,
  };
}

/**
 * The metadata that describes a graph to llama.cpp. `context` is the model's own. Throws `export-graph` (category data)
 * where llama.cpp would compute something else.
 */
export function graphFields(graph: Graph, context: number, source: string): Fields {
  const architecture = architectureOf(graph, source);
  const parts = partsOf(graph);
  const { attention, ropes, norm, tokens } = parts;
  const [first] = attention as [AttentionNode];
  requireSame(graph, architecture, parts, source);
  const epsilon = norm.method === "rms" ? "layer_norm_rms_epsilon" : "layer_norm_epsilon";
  const fields: Fields = {
    context_length: { type: "u32", value: context },
    embedding_length: { type: "u32", value: tokens.table.d },
    block_count: { type: "u32", value: attention.length },
    feed_forward_length: { type: "u32", value: parts.inner },
    "attention.head_count": { type: "u32", value: first.heads },
    "attention.head_count_kv": { type: "u32", value: first.kvHeads },
    [`attention.${epsilon}`]: { type: "f32", value: norm.epsilon },
    vocab_size: { type: "u32", value: graph.vocabulary },
    ...(ropes.length === 0 ? {} : ropeFields(parts)),
    ...(architecture.windows ? windowFields(parts) : {}),
  };
  return Object.fromEntries([
    ["general.architecture", { type: "string", value: architecture.name }],
    ["general.name", { type: "string", value: graph.name }],
    ...Object.entries(fields).map(([key, field]) => [`${architecture.name}.${key}`, field]),
  ]) as Fields;
}

/** The rotation of the layers that see everything. */
function wholeRope({ attention, ropes }: Parts): RopeNode {
  const whole = attention.find(({ window }) => window === null);
  return ropes.find(({ layer }) => layer === whole?.layer) ?? ropes[0]!;
}

function ropeFields(parts: Parts): Fields {
  const { headDim, rotaryDim, theta, scaling } = wholeRope(parts);
  const linear: Fields =
    scaling.kind === "linear"
      ? {
          "rope.scaling.type": { type: "string", value: "linear" },
          "rope.scaling.factor": { type: "f32", value: scaling.factor },
        }
      : {};
  return {
    "attention.key_length": { type: "u32", value: headDim },
    "attention.value_length": { type: "u32", value: headDim },
    "rope.dimension_count": { type: "u32", value: rotaryDim },
    "rope.freq_base": { type: "f32", value: theta },
    ...linear,
  };
}

function windowFields({ attention, ropes }: Parts): Fields {
  const sliding = attention.find(({ window }) => window !== null);
  if (sliding === undefined) return {};
  const { theta } = ropes.find(({ layer }) => layer === sliding.layer)!;
  return {
    "attention.sliding_window": { type: "u32", value: sliding.window! },
    "attention.sliding_window_pattern": { type: "u32", value: patternOf(attention) },
    "rope.freq_base_swa": { type: "f32", value: theta },
  };
}

/** One layer in how many sees everything: the first that does is the last of the pattern. */
function patternOf(attention: readonly AttentionNode[]): number {
  const first = attention.findIndex(({ window }) => window === null);
  return first < 0 ? attention.length + 1 : first + 1;
}

/** What llama.cpp multiplies scores by, whatever the file says; it tells Gemma 3's largest model by its layers. */
export function scoreScale({ family, nodes }: Graph, attention: readonly AttentionNode[]): number {
  const { heads, headDim } = attention[0]!;
  const tokens = nodes.find((node): node is EmbeddingNode => node.kind === "embedding")!;
  const isLargest = family === "gemma3_text" && attention.length === 62;
  return 1 / Math.sqrt(isLargest ? tokens.table.d / heads : headDim);
}

/** A ratio; 1 but for rounding is 1. */
export function factorOf(one: number, other: number): number {
  return Math.abs(one / other - 1) < 1e-6 ? 1 : one / other;
}

/** Refuses what llama.cpp does not read from the file, and would compute otherwise. */
function requireSame(
  graph: Graph,
  { name, layer, biased, activation, pairing, windows, divisors }: Architecture,
  { attention, ropes, tokens }: Parts,
  source: string,
): void {
  const refuse = (what: string) => {
    throw new GsicError({
      category: "data",
      code: "export-graph",
      message: `llama.cpp's ${name} has no ${what}`,
      where: source,
      hint: "this model runs in gsic's own builds",
    });
  };
  for (const node of graph.nodes)
    if (node.kind === "activation" && node.function !== activation) refuse(`activation ${node.function}`);
  // Where the heads of queries are normalised, the gain takes another scale in (tensors.ts).
  const normalised = graph.nodes.some((node) => partOf(node) === "query_norm");
  for (const { scale } of attention)
    if (!normalised && factorOf(scale, scoreScale(graph, attention)) !== 1)
      refuse("scale of attention but 1 / sqrt(head)");
  const places = Object.entries(layer).flatMap(([tensor, parts]) =>
    parts.map((part) => [part, tensor] as const),
  );
  const tensorOf = new Map<string, string>(places);
  for (const node of graph.nodes)
    if (node.kind === "linear" && node.bias !== null && node.layer !== null) {
      const tensor = tensorOf.get(partOf(node))!;
      if (biased !== null && !biased.includes(tensor)) refuse(`bias of ${tensor}`);
    }
  const pattern = windows ? patternOf(attention) : 1;
  attention.forEach(({ window }, index) => {
    const isWhole = (index + 1) % pattern === 0;
    if (isWhole !== (window === null)) refuse("windows of attention in just these layers");
  });
  for (const { scaling, headDim, rotaryDim } of ropes) {
    if (pairing === "adjacent" && rotaryDim !== headDim) refuse("heads that are rotated in part");
    if (scaling.kind === "longrope") refuse("LongRoPE of one set of frequencies");
    if ((scaling.kind === "llama3" || scaling.kind === "divisors") && !divisors)
      refuse("divisors of rotary frequencies");
  }
  if (name !== "gemma3" && tokens.scale !== 1) refuse("factor of the embedding");
}
