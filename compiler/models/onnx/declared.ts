import type { Graph } from "../../ir/graph.js";
import type { Weights } from "../../read/weights.js";
import { GsicError } from "../../support/errors.js";

/** Keys of config.json for one fact, as families call it. */
const contextKeys = ["max_position_embeddings", "n_positions"];

/** How long texts the model knows, as the config.json beside it says; null: nothing says so. */
export function declaredContext({ config }: Weights): number | null {
  const value = contextKeys.map((key) => config?.[key]).find((one) => one !== undefined && one !== null);
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : null;
}

/** Throws `onnx-config` where a config.json beside the file contradicts what its graph computes. */
export function requireAgreement({ config, folder, source }: Weights, graph: Graph): void {
  if (config === undefined) return;
  for (const { keys, what, found } of factsOf(graph)) {
    const key = keys.find((one) => config[one] !== undefined && config[one] !== null);
    const said = key === undefined ? null : config[key];
    if (typeof said !== "number" || Math.abs(said - found) <= 1e-4 * Math.abs(found)) continue;
    throw new GsicError({
      category: "data",
      code: "onnx-config",
      message: `${key} = ${said}, but the graph has ${found} ${what}`,
      where: `${folder}/config.json: ${key}, and ${source}`,
      hint: "both must be of one model: take config.json from where the graph comes from, or put the .onnx file elsewhere",
    });
  }
}

interface Fact {
  readonly keys: readonly string[];
  readonly what: string;
  readonly found: number;
}

function factsOf({ nodes, vocabulary }: Graph): readonly Fact[] {
  const attentions = nodes.filter((node) => node.kind === "attention");
  const norms = nodes.filter((node) => node.kind === "norm");
  const [attention, norm] = [attentions[0]!, norms[0]];
  const table = nodes.find((node) => node.kind === "embedding");
  const rope = nodes.find((node) => node.kind === "rope");
  const isPlain = rope?.scaling.kind === "none" && rope.rotaryDim > 2;
  return [
    { keys: ["num_hidden_layers", "n_layer"], what: "layers", found: attentions.length },
    { keys: ["num_attention_heads", "n_head"], what: "heads", found: attention.heads },
    { keys: ["num_key_value_heads"], what: "heads of keys and values", found: attention.kvHeads },
    { keys: ["head_dim"], what: "channels in a head", found: attention.headDim },
    { keys: ["vocab_size"], what: "logits for each token", found: vocabulary },
    ...(table === undefined
      ? []
      : [{ keys: ["hidden_size", "n_embd"], what: "channels in an embedding", found: table.table.d }]),
    ...(norm === undefined
      ? []
      : [
          {
            keys: ["rms_norm_eps", "layer_norm_epsilon"],
            what: "as the epsilon of its norms",
            found: norm.epsilon,
          },
        ]),
    ...(isPlain
      ? [{ keys: ["rope_theta"], what: "as the base of its rotary frequencies", found: rope.theta }]
      : []),
  ];
}
