import type { Graph } from "../ir/graph.js";
import type { Weights } from "../read/weights.js";
import { activationOf } from "./activations.js";
import { GraphBuilder } from "./builder.js";
import { Settings } from "./settings.js";

/**
 * GPT-J as Hugging Face stores it: attention and MLP both read one layer norm and are both added to the residual;
 * rotary positions turn neighbouring channels of the first `rotary_dim`; the head has a matrix and a bias of its own.
 */
export function gptj(weights: Weights, name: string): Graph {
  const settings = new Settings(`${weights.source}/config.json`, (key) => weights.config?.[key]);
  const hidden = settings.size("n_embd");
  const heads = settings.size("n_head");
  const layers = settings.layers("n_layer");
  const vocabulary = settings.size("vocab_size");
  const context = settings.size("n_positions", 2048);
  const inner = settings.size("n_inner", 4 * hidden);
  const epsilon = settings.positive("layer_norm_epsilon", 1e-5);
  const activation = activationOf(settings, "activation_function", "gelu_new");
  const headDim = settings.split("n_head", hidden, heads);
  if (settings.isNull("rotary_dim")) throw settings.unsupported("rotary_dim", ["an even number"]);
  const rotaryDim = settings.rotaryDim("rotary_dim", headDim, 64);

  const prefix = weights.info("transformer.wte.weight") ? "transformer." : "";
  const build = new GraphBuilder(weights);
  const table = build.matrix(`${prefix}wte.weight`, vocabulary, hidden);
  let x = build.embedding("tokens", "token", table);
  for (let layer = 0; layer < layers; layer++) {
    const block = `${prefix}h.${layer}`;
    const id = (part: string) => `layer${layer}_${part}`;
    const linear = (part: string, input: string, tensor: string, out: number, d: number, bias: boolean) =>
      build.linear(id(part), input, { tensor: `${block}.${tensor}`, out, d, bias });
    const rope = (part: string, input: string) =>
      build.rope(id(part), input, {
        heads,
        headDim,
        rotaryDim,
        pairing: "adjacent",
        theta: 10000,
        scaling: { kind: "none" },
      });

    const norm = build.layerNorm(id("norm"), x, `${block}.ln_1`, hidden, epsilon);
    const query = linear("query", norm, "attn.q_proj", hidden, hidden, false);
    const key = linear("key", norm, "attn.k_proj", hidden, hidden, false);
    const value = linear("value", norm, "attn.v_proj", hidden, hidden, false);
    const attended = build.attention(
      id("attention"),
      rope("query_rope", query),
      rope("key_rope", key),
      value,
      { heads, kvHeads: heads, headDim, scale: 1 / Math.sqrt(headDim), window: null },
    );
    const projected = linear("attention_out", attended, "attn.out_proj", hidden, hidden, false);
    x = build.add(id("attention_residual"), x, projected);
    const up = linear("up", norm, "mlp.fc_in", inner, hidden, true);
    const activated = build.activation(id("activation"), up, activation);
    x = build.add(id("mlp_residual"), x, linear("down", activated, "mlp.fc_out", hidden, inner, true));
  }
  const last = build.layerNorm("final_norm", x, `${prefix}ln_f`, hidden, epsilon);
  const tied = settings.flag("tie_word_embeddings", false);
  const output = build.head("logits", last, { tensor: "lm_head", table, tied, bias: true });
  const nodes = build.finish((tensor) => /\.attn\.(bias|masked_bias)$/.test(tensor));
  return { name, family: "gptj", vocabulary, context, nodes, output };
}
