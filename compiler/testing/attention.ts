import type { Node } from "../ir/graph.js";
import type { Model } from "../models/model.js";
import { gaussian, matrixRef, modelOf, type StoredTensor, storedAs } from "./kernels.js";

/** Attention of a model with one layer. */
export interface Attention {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly window?: number;
  readonly norms?: boolean;
  readonly rope?: { readonly rotaryDim: number; readonly pairing: "half" | "adjacent" };
  readonly tokens?: number;
  /** What a model is built for, where that is more than its tokens: blocks of the cache grow with it. */
  readonly context?: number;
}

const width = 12;
/** Tokens of the models of `attentionModel`. */
export const vocabulary = 9;

/** One layer of attention over the embeddings of nine tokens. */
export function attentionModel(
  { heads, kvHeads, headDim, window, norms, rope }: Attention,
  context: number,
): Promise<Model> {
  const random = gaussian(headDim);
  const tensors: Record<string, StoredTensor> = {};
  const tensor = (name: string, out: number, d: number | null, value: () => number) => {
    const values = Float32Array.from({ length: out * (d ?? 1) }, value);
    tensors[name] = { dtype: "f32", out, d, bytes: storedAs("f32", values) };
  };
  const matrix = (name: string, out: number, d: number) => {
    tensor(name, out, d, () => random() / Math.sqrt(d));
    return matrixRef(name, "f32", out, d);
  };
  const nodes: Node[] = [];
  tensor("x", vocabulary, width, random);
  const table = matrixRef("x", "f32", vocabulary, width);
  nodes.push({ kind: "embedding", id: "x", layer: null, index: "token", table, offset: 0, scale: 1 });
  const input = (name: string, count: number): string => {
    nodes.push({
      kind: "linear",
      id: name,
      layer: null,
      input: "x",
      weight: matrix(name, count * headDim, width),
      bias: null,
    });
    if (name === "v") return name;
    let id = name;
    if (norms) {
      tensor(`${name}_gain`, headDim, null, () => 1 + random() / 4);
      const gain = { tensor: `${name}_gain`, length: headDim, first: 0 };
      const norm = { kind: "norm", id: `${name}_normed`, layer: null, input: id, method: "rms" } as const;
      nodes.push({ ...norm, heads: count, gain, bias: null, epsilon: 1e-3 });
      id = norm.id;
    }
    if (rope) {
      const rotated = { kind: "rope", id: `${name}_rotated`, layer: null, input: id, heads: count } as const;
      nodes.push({ ...rotated, headDim, ...rope, theta: 100, scaling: { kind: "none" } });
      id = rotated.id;
    }
    return id;
  };
  const [query, key, value] = [input("q", heads), input("k", kvHeads), input("v", kvHeads)];
  const scale = 2 / Math.sqrt(headDim);
  nodes.push({
    kind: "attention",
    id: "a",
    layer: null,
    query,
    key,
    value,
    heads,
    kvHeads,
    headDim,
    scale,
    window: window ?? null,
    cache: "f32",
  });
  nodes.push({
    kind: "linear",
    id: "logits",
    layer: null,
    input: "a",
    weight: matrix("o", vocabulary, heads * headDim),
    bias: null,
  });
  return modelOf(tensors, { vocabulary, context, output: "logits", nodes });
}

const half = (rotaryDim: number) => ({ rotaryDim, pairing: "half" as const });
const adjacent = (rotaryDim: number) => ({ rotaryDim, pairing: "adjacent" as const });

/** Attention of every kind that the families have, on shapes that are multiples of nothing. */
export const attentionCases: readonly Attention[] = [
  { heads: 4, kvHeads: 2, headDim: 16, rope: half(16) },
  { heads: 2, kvHeads: 1, headDim: 17 },
  { heads: 1, kvHeads: 1, headDim: 3, rope: half(2), window: 1 },
  { heads: 2, kvHeads: 2, headDim: 64, rope: adjacent(24), window: 7 },
  { heads: 6, kvHeads: 2, headDim: 80, rope: half(32) },
  { heads: 2, kvHeads: 1, headDim: 128, rope: half(128), norms: true, window: 33 },
  { heads: 2, kvHeads: 1, headDim: 256, rope: adjacent(256), norms: true, tokens: 275, context: 520 },
  { heads: 2, kvHeads: 2, headDim: 17, rope: half(10), tokens: 300 },
  { heads: 2, kvHeads: 1, headDim: 64, rope: half(64), window: 100, tokens: 250, context: 520 },
  { heads: 7, kvHeads: 1, headDim: 12, window: 130, tokens: 270 },
];
