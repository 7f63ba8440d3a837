import type { RopeScaling } from "../ir/graph.js";
import type { Weights } from "../read/weights.js";
import { activationOf } from "./activations.js";
import type { DecoderShape, LayerShape } from "./decoder.js";
import { ggufNames, huggingFaceNames, ropeDivisors } from "./decoder-names.js";
import { Settings } from "./settings.js";

/** What a family assumes where config.json is silent: the defaults of its class in transformers. */
interface HuggingFaceDefaults {
  /** Null: hidden_size / num_attention_heads. */
  readonly headDim?: number;
  /** Not given: num_attention_heads, as where the file says null. */
  readonly kvHeads?: number;
  readonly context: number;
  readonly epsilon: number;
  readonly tied: boolean;
}

/** A folder's config.json. */
export function configOf(weights: Weights): Settings {
  return new Settings(`${weights.source}/config.json`, (key) => weights.config?.[key]);
}

type Rope = Pick<LayerShape, "theta" | "scaling">;

/** The shape that Llama's keys of config.json describe; families change what they say otherwise. */
export function huggingFaceShape(
  settings: Settings,
  defaults: HuggingFaceDefaults,
  rope: Rope = ropeOf(settings),
): DecoderShape {
  const hidden = settings.size("hidden_size");
  const heads = settings.size("num_attention_heads");
  const assumed = settings.isNull("num_key_value_heads") ? heads : (defaults.kvHeads ?? heads);
  const kvHeads = settings.size("num_key_value_heads", assumed);
  settings.checkGroups("num_key_value_heads", heads, kvHeads);
  const headDim = settings.has("head_dim")
    ? settings.size("head_dim")
    : (defaults.headDim ?? settings.split("num_attention_heads", hidden, heads));
  if (headDim % 2 !== 0) {
    throw settings.inconsistent("head_dim", `heads have ${headDim} channels, but these are rotated in pairs`);
  }
  const layer = { ...rope, window: null };
  return {
    hidden,
    inner: settings.size("intermediate_size"),
    layers: settings.layers("num_hidden_layers"),
    heads,
    kvHeads,
    headDim,
    rotaryDim: headDim,
    vocabulary: settings.size("vocab_size"),
    context: settings.size("max_position_embeddings", defaults.context),
    epsilon: settings.positive("rms_norm_eps", defaults.epsilon),
    activation: activationOf(settings, "hidden_act", "silu"),
    scale: 1 / Math.sqrt(headDim),
    embeddingScale: 1,
    gainPlus: 0,
    layer: () => layer,
    pairing: "half",
    tied: settings.flag("tie_word_embeddings", defaults.tied),
    names: huggingFaceNames,
  };
}

/** theta and scaling, where config.json has them: `rope_parameters`, or `rope_theta` and `rope_scaling` before. */
function ropeOf(settings: Settings): Rope {
  const rope = settings.table("rope_scaling") ?? settings.table("rope_parameters");
  const theta = (rope?.has("rope_theta") ? rope : settings).positive("rope_theta", 10000);
  return { theta, scaling: rope === null ? { kind: "none" } : ropeScaling(rope) };
}

/** The scaling that a table of rotary parameters names. */
export function ropeScaling(rope: Settings): RopeScaling {
  const key = rope.has("rope_type") ? "rope_type" : "type";
  switch (rope.text(key, "default")) {
    case "default":
      return { kind: "none" };
    case "linear":
      return { kind: "linear", factor: rope.positive("factor") };
    case "llama3":
      return {
        kind: "llama3",
        factor: rope.positive("factor"),
        lowFrequencyFactor: rope.positive("low_freq_factor"),
        highFrequencyFactor: rope.positive("high_freq_factor"),
        originalContext: rope.size("original_max_position_embeddings"),
      };
    default:
      throw rope.unsupported(key, ["default", "linear", "llama3"]);
  }
}

/** A GGUF file's metadata under the architecture's name: `key` stands for `<architecture>.<key>`. */
export function ggufSettings(weights: Weights, architecture: string): Settings {
  const prefix = `${architecture}.`;
  return new Settings(weights.source, (key) => weights.metadata?.get(`${prefix}${key}`), prefix);
}

/** The shape that llama.cpp's keys describe; all but Llama's own files rotate channels i and i + rotaryDim / 2. */
export function ggufShape(
  settings: Settings,
  weights: Weights,
  scaling: RopeScaling = ggufRopeScaling(settings, weights),
): DecoderShape {
  const hidden = settings.size("embedding_length");
  const heads = settings.size("attention.head_count");
  const kvHeads = settings.size("attention.head_count_kv", heads);
  settings.checkGroups("attention.head_count_kv", heads, kvHeads);
  const headDim = settings.has("attention.key_length")
    ? settings.size("attention.key_length")
    : settings.split("attention.head_count", hidden, heads);
  const window = settings.count("attention.sliding_window", 0);
  const layer = {
    theta: settings.positive("rope.freq_base", 10000),
    scaling,
    window: window === 0 ? null : window,
  };
  return {
    hidden,
    inner: settings.size("feed_forward_length"),
    layers: settings.layers("block_count"),
    heads,
    kvHeads,
    headDim,
    rotaryDim: settings.rotaryDim("rope.dimension_count", headDim, headDim),
    vocabulary: settings.size("vocab_size", weights.info("token_embd.weight")?.shape[0]),
    context: settings.size("context_length"),
    epsilon: settings.positive("attention.layer_norm_rms_epsilon"),
    activation: "silu",
    scale: 1 / Math.sqrt(headDim),
    embeddingScale: 1,
    gainPlus: 0,
    layer: () => layer,
    pairing: "half",
    tied: weights.info("output.weight") === undefined,
    names: ggufNames(weights),
  };
}

function ggufRopeScaling(settings: Settings, weights: Weights): RopeScaling {
  const divisors = weights.info(ropeDivisors);
  if (divisors !== undefined) {
    const vector = { tensor: ropeDivisors, length: divisors.shape[0] ?? 0, first: 0 };
    return { kind: "divisors", divisors: Array.from(weights.readVector(vector)) };
  }
  switch (settings.text("rope.scaling.type", "none")) {
    case "none":
      return { kind: "none" };
    case "linear":
      return { kind: "linear", factor: settings.positive("rope.scaling.factor") };
    default:
      throw settings.unsupported("rope.scaling.type", ["none", "linear"]);
  }
}
