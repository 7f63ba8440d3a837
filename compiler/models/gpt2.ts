import type { Graph } from "../ir.js";
import type { Weights } from "../read/weights.js";
import { activationOf } from "./activations.js";
import { GraphBuilder } from "./builder.js";
import { Settings } from "./settings.js";

/**
 * GPT-2 as Hugging Face stores it: learned positions, layer norms before each block, a fused c_attn, weights of the
 * blocks transposed ([d, out], Conv1D), and an output head tied to the token embedding.
 */
export function gpt2(weights: Weights, name: string): Graph {
  const settings = new Settings(`${weights.source}/config.json`, (key) => weights.config?.[key]);
  const hidden = settings.size("n_embd");
  const heads = settings.size("n_head");
  const layers = settings.layers("n_layer");
  const vocabulary = settings.size("vocab_size");
  const context = settings.size("n_positions");
  const inner = settings.size("n_inner", 4 * hidden);
  const epsilon = settings.positive("layer_norm_epsilon", 1e-5);
  const activation = activationOf(settings, "activation_function", "gelu_new");
  const headDim = settings.split("n_head", hidden, heads);
  const scaled = settings.flag("scale_attn_weights", true);
  const byLayer = settings.flag("scale_attn_by_inverse_layer_idx", false);

  const prefix = weights.info("transformer.wte.weight") ? "transformer." : "";
  const build = new GraphBuilder(weights);
  const table = build.matrix(`${prefix}wte.weight`, vocabulary, hidden);
  const tokens = build.embedding("tokens", "token", table);
  const places = build.matrix(`${prefix}wpe.weight`, context, hidden);
  let x = build.add("embedded", tokens, build.embedding("positions", "position", places));
  for (let layer = 0; layer < layers; layer++) {
    const block = `${prefix}h.${layer}`;
    const id = (part: string) => `layer${layer}_${part}`;
    const conv = (tensor: string, out: number, d: number) => ({
      tensor: `${block}.${tensor}`,
      out,
      d,
      transposed: true,
      bias: true,
    });
    const attentionNorm = build.layerNorm(id("attention_norm"), x, `${block}.ln_1`, hidden, epsilon);
    const [query, key, value] = ["query", "key", "value"].map((part, index) =>
      build.linear(id(part), attentionNorm, {
        ...conv("attn.c_attn", hidden, hidden),
        part: { first: index * hidden, of: 3 * hidden },
      }),
    ) as [string, string, string];
    const scale = (scaled ? 1 / Math.sqrt(headDim) : 1) / (byLayer ? layer + 1 : 1);
    const shape = { heads, kvHeads: heads, headDim, scale, window: null };
    const attended = build.attention(id("attention"), query, key, value, shape);
    const projected = build.linear(id("attention_out"), attended, conv("attn.c_proj", hidden, hidden));
    x = build.add(id("attention_residual"), x, projected);
    const mlpNorm = build.layerNorm(id("mlp_norm"), x, `${block}.ln_2`, hidden, epsilon);
    const up = build.linear(id("up"), mlpNorm, conv("mlp.c_fc", inner, hidden));
    const activated = build.activation(id("activation"), up, activation);
    const down = build.linear(id("down"), activated, conv("mlp.c_proj", hidden, inner));
    x = build.add(id("mlp_residual"), x, down);
  }
  const last = build.layerNorm("final_norm", x, `${prefix}ln_f`, hidden, epsilon);
  const tied = settings.flag("tie_word_embeddings", true);
  const output = build.head("logits", last, { tensor: "lm_head", table, tied });
  const nodes = build.finish((tensor) => /\.attn\.(bias|masked_bias)$/.test(tensor));
  return { name, family: "gpt2", vocabulary, context, nodes, output };
}
