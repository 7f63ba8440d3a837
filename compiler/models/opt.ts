import type { Graph } from "../ir/graph.js";
import type { Weights } from "../read/weights.js";
import { activationOf } from "./activations.js";
import { GraphBuilder } from "./builder.js";
import { Settings } from "./settings.js";

/** nn.LayerNorm's default, which no OPT configuration changes. */
const epsilon = 1e-5;

/** Rows of the position table that stand before position 0. */
const offset = 2;

/**
 * OPT as Hugging Face stores it: learned positions, ReLU, biases everywhere, layer norms before attention and MLP
 * (350m: after each residual), token embeddings that may be narrower than the hidden size and are then projected into
 * it and out of it, and an output head tied to them.
 */
export function opt(weights: Weights, name: string): Graph {
  const settings = new Settings(`${weights.source}/config.json`, (key) => weights.config?.[key]);
  const hidden = settings.size("hidden_size");
  const heads = settings.size("num_attention_heads");
  const layers = settings.layers("num_hidden_layers");
  const vocabulary = settings.size("vocab_size");
  const context = settings.size("max_position_embeddings", 2048);
  const inner = settings.size("ffn_dim");
  const embedded = settings.size("word_embed_proj_dim", hidden);
  const activation = activationOf(settings, "activation_function", "relu");
  const bias = settings.flag("enable_bias", true);
  const normBefore = settings.flag("do_layer_norm_before", true);
  const finalNorm = normBefore && !settings.flag("_remove_final_layer_norm", false);
  const headDim = settings.split("num_attention_heads", hidden, heads);
  if (!settings.flag("layer_norm_elementwise_affine", true)) {
    throw settings.unsupported("layer_norm_elementwise_affine", ["true"]);
  }

  const prefix = weights.info("decoder.embed_tokens.weight") ? "decoder." : "model.decoder.";
  const build = new GraphBuilder(weights);
  const project = (part: string, input: string, out: number, d: number) =>
    out === d ? input : build.linear(part, input, { tensor: `${prefix}${part}`, out, d, bias: false });

  const table = build.matrix(`${prefix}embed_tokens.weight`, vocabulary, embedded);
  const places = build.matrix(`${prefix}embed_positions.weight`, context + offset, hidden);
  const tokens = project("project_in", build.embedding("tokens", "token", table), hidden, embedded);
  const embeddings = build.add(
    "embedded",
    tokens,
    build.embedding("positions", "position", places, { offset }),
  );
  const last = build.layers(layers, embeddings, (x, layer) => {
    const block = `${prefix}layers.${layer}`;
    const linear = (part: string, input: string, tensor: string, out: number, d: number) =>
      build.linear(part, input, { tensor: `${block}.${tensor}`, out, d, bias });
    const norm = (part: string, input: string, tensor: string, here: boolean) =>
      here ? build.layerNorm(part, input, `${block}.${tensor}`, hidden, epsilon) : input;

    const attentionInput = norm("attention_norm", x, "self_attn_layer_norm", normBefore);
    const [query, key, value] = (["query", "key", "value"] as const).map((part) =>
      linear(part, attentionInput, `self_attn.${part[0]}_proj`, hidden, hidden),
    ) as [string, string, string];
    const shape = { heads, kvHeads: heads, headDim, scale: 1 / Math.sqrt(headDim), window: null };
    const attended = build.attention("attention", query, key, value, shape);
    const projected = linear("attention_out", attended, "self_attn.out_proj", hidden, hidden);
    const sum = build.add("attention_residual", x, projected);
    const attentionOutput = norm("attention_norm", sum, "self_attn_layer_norm", !normBefore);

    const mlpInput = norm("mlp_norm", attentionOutput, "final_layer_norm", normBefore);
    const activated = build.activation(
      "activation",
      linear("up", mlpInput, "fc1", inner, hidden),
      activation,
    );
    const down = linear("down", activated, "fc2", hidden, inner);
    const mlpSum = build.add("mlp_residual", attentionOutput, down);
    return norm("mlp_norm", mlpSum, "final_layer_norm", !normBefore);
  });
  const normed = finalNorm
    ? build.layerNorm("final_norm", last, `${prefix}final_layer_norm`, hidden, epsilon)
    : last;
  const projected = project("project_out", normed, embedded, hidden);
  const tied = settings.flag("tie_word_embeddings", true);
  const output = build.head("logits", projected, { tensor: "lm_head", table, tied });
  const nodes = build.finish(() => false);
  return { name, family: "opt", vocabulary, context, nodes, output };
}
