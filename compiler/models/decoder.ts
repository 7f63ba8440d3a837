import type { ActivationFunction, Graph, RopeScaling } from "../ir/graph.js";
import type { Weights } from "../read/weights.js";
import { GraphBuilder } from "./builder.js";
import type { DecoderNames } from "./decoder-names.js";

/** What differs from layer to layer. */
export interface LayerShape {
  readonly theta: number;
  readonly scaling: RopeScaling;
  /** Positions that a query sees; null: all. */
  readonly window: number | null;
}

/** What the families that are wired like Llama say, each in its own words, of a folder or a GGUF file. */
export interface DecoderShape {
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
  readonly activation: ActivationFunction;
  /** Factor of the attention scores. */
  readonly scale: number;
  /** Factor of the token embeddings. */
  readonly embeddingScale: number;
  /** Added to the stored gains of every norm. */
  readonly gainPlus: number;
  readonly layer: (index: number) => LayerShape;
  /** GGUF files of Llama store query and key rows permuted, so that neighbouring channels are rotated together. */
  readonly pairing: "half" | "adjacent";
  readonly tied: boolean;
  readonly names: DecoderNames;
}

/**
 * Llama's wiring: RMS norms, rotary positions, grouped-query attention, and an MLP f(gate) * up. Besides, where the
 * names say so: norms of each head of query and key, and norms after attention and MLP, before the residual.
 */
export function decoder(weights: Weights, name: string, family: string, shape: DecoderShape): Graph {
  const { hidden, inner, heads, kvHeads, headDim, rotaryDim, epsilon, pairing, names } = shape;
  const build = new GraphBuilder(weights);
  const table = build.matrix(`${names.embedding}.weight`, shape.vocabulary, hidden);
  const norm = (name: string, input: string, tensor: string, width = hidden, heads = 1) =>
    build.rmsNorm(name, input, tensor, { width, epsilon, heads, plus: shape.gainPlus });
  const tokens = build.embedding("tokens", "token", table, { scale: shape.embeddingScale });
  const last = build.layers(shape.layers, tokens, (x, layer) => {
    const block = names.layer(layer);
    const { theta, scaling, window } = shape.layer(layer);
    const layerNorm = (part: string, input: string, tensor: string) =>
      norm(part, input, `${block}.${tensor}`);
    const postNorm = (part: string, input: string, tensor: string | null) =>
      tensor === null ? input : layerNorm(part, input, tensor);
    const part = (name: string, tensor: string, out: number) => {
      const bias = names.hasBias(`${block}.${tensor}`);
      return { name, tensor: `${block}.${tensor}`, out, bias };
    };
    /** Query or key as attention reads it. */
    const rotated = (part: string, input: string, count: number, headNorm: string | null) => {
      const normal =
        headNorm === null ? input : norm(`${part}_norm`, input, `${block}.${headNorm}`, headDim, count);
      const shape = { heads: count, headDim, rotaryDim, pairing, theta, scaling };
      return build.rope(`${part}_rope`, normal, shape);
    };

    const attentionNorm = layerNorm("attention_norm", x, names.attentionNorm);
    const [query, key, value] = build.linears(attentionNorm, hidden, [
      part("query", names.query, heads * headDim),
      part("key", names.key, kvHeads * headDim),
      part("value", names.value, kvHeads * headDim),
    ]) as [string, string, string];
    const rotatedQuery = rotated("query", query, heads, names.queryNorm);
    const rotatedKey = rotated("key", key, kvHeads, names.keyNorm);
    const attentionShape = { heads, kvHeads, headDim, scale: shape.scale, window };
    const attended = build.attention("attention", rotatedQuery, rotatedKey, value, attentionShape);
    const [projected] = build.linears(attended, heads * headDim, [
      part("attention_out", names.attentionOut, hidden),
    ]) as [string];
    const added = postNorm("attention_post_norm", projected, names.attentionPostNorm);
    const attentionSum = build.add("attention_residual", x, added);

    const mlpNorm = layerNorm("mlp_norm", attentionSum, names.mlpNorm);
    const [gate, up] = build.linears(mlpNorm, hidden, [
      part("gate", names.gate, inner),
      part("up", names.up, inner),
    ]) as [string, string];
    const activated = build.activation("activation", gate, shape.activation);
    const product = build.multiply("mlp", activated, up);
    const [down] = build.linears(product, inner, [part("down", names.down, hidden)]) as [string];
    return build.add("mlp_residual", attentionSum, postNorm("mlp_post_norm", down, names.mlpPostNorm));
  });
  const normed = norm("final_norm", last, names.finalNorm);
  const output = build.head("logits", normed, { tensor: names.head, table, tied: shape.tied });
  const nodes = build.finish(names.ignorable);
  return { name, family, vocabulary: shape.vocabulary, context: shape.context, nodes, output };
}
