import type { Graph } from "../ir/graph.js";
import type { Weights } from "../read/weights.js";
import { activationOf } from "./activations.js";
import { GraphBuilder } from "./builder.js";
import { Settings } from "./settings.js";

/**
 * GPT-J as Hugging Face stores it: attention and MLP both read one layer norm and are both added to the residual;
 * rotary positions rotate neighbouring channels of the first `rotary_dim`; the head has a matrix and a bias of its own.
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
  const tokens = build.embedding("tokens", "token", table);
  const last = build.layers(layers, tokens, (x, layer) => {
    const block = `${prefix}h.${layer}`;
    const linear = (part: string, input: string, tensor: string, out: number, d: number, bias: boolean) =>
      build.linear(part, input, { tensor: `${block}.${tensor}`, out, d, bias });
    const rope = (part: string, input: string) =>
      build.rope(part, input, {
        heads,
        headDim,
        rotaryDim,
        pairing: "adjacent",
        theta: 10000,
        scaling: { kind: "none" },
      });

    const norm = build.layerNorm("norm", x, `${block}.ln_1`, hidden, epsilon);
    const query = linear("query", norm, "attn.q_proj", hidden, hidden, false);
    const key = linear("key", norm, "attn.k_proj", hidden, hidden, false);
    const value = linear("value", norm, "attn.v_proj", hidden, hidden, false);
    const attended = build.attention("attention", rope("query_rope", query), rope("key_rope", key), value, {
      heads,
      kvHeads: heads,
      headDim,
      scale: 1 / Math.sqrt(headDim),
      window: null,
    });
    const projected = linear("attention_out", attended, "attn.out_proj", hidden, hidden, false);
    const attentionSum = build.add("attention_residual", x, projected);
    const up = linear("up", norm, "mlp.fc_in", inner, hidden, true);
    const activated = build.activation("activation", up, activation);
    return build.add(
      "mlp_residual",
      attentionSum,
      linear("down", activated, "mlp.fc_out", hidden, inner, true),
    );
  });
  const normed = build.layerNorm("final_norm", last, `${prefix}ln_f`, hidden, epsilon);
  const tied = settings.flag("tie_word_embeddings", false);
  const output = build.head("logits", normed, { tensor: "lm_head", table, tied, bias: true });
  const nodes = build.finish((tensor) => /\.attn\.(bias|masked_bias)$/.test(tensor));
  return { name, family: "gptj", vocabulary, context, nodes, output };
}
