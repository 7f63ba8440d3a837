import type { ActivationFunction, Graph } from "../ir/graph.js";
import type { Weights } from "../read/weights.js";
import { activationOf } from "./activations.js";
import { GraphBuilder } from "./builder.js";
import { ggufSettings } from "./decoder-settings.js";
import { Settings } from "./settings.js";

/** Names of tensors, without `.weight` and `.bias`; those of a layer come after `layer(index)` and a dot. */
interface Gpt2Names {
  readonly tokens: string;
  readonly positions: string;
  readonly layer: (index: number) => string;
  readonly attentionNorm: string;
  /** Query, key and value, one below the other. */
  readonly fused: string;
  readonly attentionOut: string;
  readonly mlpNorm: string;
  readonly up: string;
  readonly down: string;
  readonly finalNorm: string;
  readonly head: string;
  /** Whether the linears of the layers are stored as [d, out]. */
  readonly transposed: boolean;
}

interface Gpt2Shape {
  readonly hidden: number;
  readonly heads: number;
  readonly headDim: number;
  readonly layers: number;
  readonly vocabulary: number;
  readonly context: number;
  readonly inner: number;
  readonly epsilon: number;
  readonly activation: ActivationFunction;
  /** What a layer's products of query and key are multiplied by. */
  readonly scale: (layer: number) => number;
  readonly tied: boolean;
  readonly names: Gpt2Names;
}

/**
 * GPT-2: learned positions, layer norms before each block, a fused query, key and value, and an output head tied to the
 * token embedding. Hugging Face stores the weights of the blocks transposed (Conv1D), llama.cpp does not.
 */
export function gpt2(weights: Weights, name: string): Graph {
  const shape = weights.kind === "gguf" ? ggufShape(weights) : huggingFaceShape(weights);
  const { hidden, heads, headDim, vocabulary, context, inner, epsilon, names } = shape;
  const build = new GraphBuilder(weights);
  const table = build.matrix(`${names.tokens}.weight`, vocabulary, hidden);
  const tokens = build.embedding("tokens", "token", table);
  const places = build.matrix(`${names.positions}.weight`, context, hidden);
  const embedded = build.add("embedded", tokens, build.embedding("positions", "position", places));
  const last = build.layers(shape.layers, embedded, (x, layer) => {
    const tensor = (part: string) => `${names.layer(layer)}.${part}`;
    const place = (part: string, out: number, d: number) => ({
      tensor: tensor(part),
      out,
      d,
      transposed: names.transposed,
      bias: true,
    });
    const attentionNorm = build.layerNorm("attention_norm", x, tensor(names.attentionNorm), hidden, epsilon);
    const [query, key, value] = ["query", "key", "value"].map((part, index) =>
      build.linear(part, attentionNorm, {
        ...place(names.fused, hidden, hidden),
        part: { first: index * hidden, of: 3 * hidden },
      }),
    ) as [string, string, string];
    const attention = { heads, kvHeads: heads, headDim, scale: shape.scale(layer), window: null };
    const attended = build.attention("attention", query, key, value, attention);
    const out = build.linear("attention_out", attended, place(names.attentionOut, hidden, hidden));
    const attentionSum = build.add("attention_residual", x, out);
    const mlpNorm = build.layerNorm("mlp_norm", attentionSum, tensor(names.mlpNorm), hidden, epsilon);
    const up = build.linear("up", mlpNorm, place(names.up, inner, hidden));
    const activated = build.activation("activation", up, shape.activation);
    const down = build.linear("down", activated, place(names.down, hidden, inner));
    return build.add("mlp_residual", attentionSum, down);
  });
  const normed = build.layerNorm("final_norm", last, names.finalNorm, hidden, epsilon);
  const output = build.head("logits", normed, { tensor: names.head, table, tied: shape.tied });
  const nodes = build.finish((tensor) => /\.attn\.(bias|masked_bias)$/.test(tensor));
  return { name, family: "gpt2", vocabulary, context, nodes, output };
}

function huggingFaceShape(weights: Weights): Gpt2Shape {
  const settings = new Settings(`${weights.source}/config.json`, (key) => weights.config?.[key]);
  const hidden = settings.size("n_embd");
  const heads = settings.size("n_head");
  const headDim = settings.split("n_head", hidden, heads);
  const scaled = settings.flag("scale_attn_weights", true);
  const byLayer = settings.flag("scale_attn_by_inverse_layer_idx", false);
  const prefix = weights.info("transformer.wte.weight") ? "transformer." : "";
  return {
    hidden,
    heads,
    headDim,
    layers: settings.layers("n_layer"),
    vocabulary: settings.size("vocab_size"),
    context: settings.size("n_positions"),
    inner: settings.size("n_inner", 4 * hidden),
    epsilon: settings.positive("layer_norm_epsilon", 1e-5),
    activation: activationOf(settings, "activation_function", "gelu_new"),
    scale: (layer) => (scaled ? 1 / Math.sqrt(headDim) : 1) / (byLayer ? layer + 1 : 1),
    tied: settings.flag("tie_word_embeddings", true),
    names: {
      tokens: `${prefix}wte`,
      positions: `${prefix}wpe`,
      layer: (index) => `${prefix}h.${index}`,
      attentionNorm: "ln_1",
      fused: "attn.c_attn",
      attentionOut: "attn.c_proj",
      mlpNorm: "ln_2",
      up: "mlp.c_fc",
      down: "mlp.c_proj",
      finalNorm: `${prefix}ln_f`,
      head: "lm_head",
      transposed: true,
    },
  };
}

/** llama.cpp's keys and names; it computes the GELU by tanh. */
function ggufShape(weights: Weights): Gpt2Shape {
  const settings = ggufSettings(weights, "gpt2");
  const hidden = settings.size("embedding_length");
  const heads = settings.size("attention.head_count");
  const headDim = settings.split("attention.head_count", hidden, heads);
  return {
    hidden,
    heads,
    headDim,
    layers: settings.layers("block_count"),
    vocabulary: settings.size("vocab_size", weights.info("token_embd.weight")?.shape[0]),
    context: settings.size("context_length"),
    inner: settings.size("feed_forward_length"),
    epsilon: settings.positive("attention.layer_norm_epsilon"),
    activation: "gelu_tanh",
    scale: () => 1 / Math.sqrt(headDim),
    tied: weights.info("output.weight") === undefined,
    names: {
      tokens: "token_embd",
      positions: "position_embd",
      layer: (index) => `blk.${index}`,
      attentionNorm: "attn_norm",
      fused: "attn_qkv",
      attentionOut: "attn_output",
      mlpNorm: "ffn_norm",
      up: "ffn_up",
      down: "ffn_down",
      finalNorm: "output_norm",
      head: "output",
      transposed: false,
    },
  };
}
