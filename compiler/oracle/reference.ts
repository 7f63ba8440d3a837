import type {
  ActivationFunction,
  AttentionNode,
  Graph,
  LinearNode,
  Node,
  NormNode,
  RopeNode,
  ValueId,
} from "../ir/graph.js";
import { ropeFactor, ropeFrequencies } from "../layout/rope.js";
import type { Weights } from "../read/weights.js";
import { erf } from "../support/erf.js";
import { asCached } from "./cache.js";

/** A value of the graph for all tokens: [tokens, width], row by row. */
export interface Value {
  readonly width: number;
  readonly data: Float64Array;
}

/**
 * The oracle: every node in float64, one token after another, as plainly as it can be written. Slow on purpose.
 * Everything that gsic emits is compared with this.
 */
export function evaluateGraph(
  graph: Graph,
  weights: Weights,
  ids: readonly number[],
  progress: (done: number, total: number) => void = () => {},
): ReadonlyMap<ValueId, Value> {
  const values = new Map<ValueId, Value>();
  graph.nodes.forEach((node, index) => {
    values.set(node.id, evaluateNode(node, weights, ids, values));
    progress(index + 1, graph.nodes.length);
  });
  return values;
}

/** The logits, [tokens, vocabulary], in float64. */
export function referenceLogits(
  graph: Graph,
  weights: Weights,
  ids: readonly number[],
  progress?: (done: number, total: number) => void,
): Float64Array {
  return evaluateGraph(graph, weights, ids, progress).get(graph.output)!.data;
}

/** One node from the values before it. */
export function evaluateNode(
  node: Node,
  weights: Weights,
  ids: readonly number[],
  values: ReadonlyMap<ValueId, Value>,
): Value {
  const get = (id: ValueId) => values.get(id)!;
  switch (node.kind) {
    case "embedding":
      return perToken(ids.length, node.table.d, (token) => {
        const row = (node.index === "token" ? ids[token]! : token) + node.offset;
        return Float64Array.from(weights.readRows(node.table, row, 1), (value) => value * node.scale);
      });
    case "norm":
      return norm(node, get(node.input), weights);
    case "linear":
      return linear(node, get(node.input), weights);
    case "rope":
      return rope(node, get(node.input));
    case "attention":
      return attention(node, get(node.query), get(node.key), get(node.value));
    case "activation":
      return map(get(node.input), (x) => activate(node.function, x));
    case "add":
      return combine(get(node.left), get(node.right), (a, b) => a + b);
    case "multiply":
      return combine(get(node.left), get(node.right), (a, b) => a * b);
    default:
      return node satisfies never;
  }
}

function norm(node: NormNode, input: Value, weights: Weights): Value {
  const gain = weights.readVector(node.gain);
  const bias = node.bias === null ? null : weights.readVector(node.bias);
  const width = gain.length;
  return perToken(tokens(input), input.width, (token) => {
    const row = rowOf(input, token);
    const y = new Float64Array(row.length);
    for (let head = 0; head < node.heads; head++) {
      const x = row.subarray(head * width, (head + 1) * width);
      const mean = node.method === "layer" ? sum(x) / width : 0;
      const variance = sum(x.map((value) => (value - mean) ** 2)) / width;
      const scale = 1 / Math.sqrt(variance + node.epsilon);
      for (let i = 0; i < width; i++) {
        y[head * width + i] = (x[i]! - mean) * scale * gain[i]! + (bias?.[i] ?? 0);
      }
    }
    return y;
  });
}

/** y = W x + b; rows of W are read a block at a time. */
function linear(node: LinearNode, input: Value, weights: Weights): Value {
  const { out, d } = node.weight;
  const bias = node.bias === null ? null : weights.readVector(node.bias);
  const count = tokens(input);
  const data = new Float64Array(count * out);
  const block = Math.max(1, Math.floor((1 << 22) / d));
  for (let first = 0; first < out; first += block) {
    const rows = Math.min(block, out - first);
    const w = weights.readRows(node.weight, first, rows);
    for (let row = 0; row < rows; row++) {
      for (let token = 0; token < count; token++) {
        let total = bias?.[first + row] ?? 0;
        for (let i = 0; i < d; i++) total += w[row * d + i]! * input.data[token * d + i]!;
        data[token * out + first + row] = total;
      }
    }
  }
  return { width: out, data };
}

function rope(node: RopeNode, input: Value): Value {
  const frequencies = ropeFrequencies(node);
  const pairs = frequencies.length;
  const factor = ropeFactor(node);
  return perToken(tokens(input), input.width, (token) => {
    const x = rowOf(input, token);
    for (let head = 0; head < node.heads; head++) {
      for (let i = 0; i < pairs; i++) {
        const base = head * node.headDim;
        const a = base + (node.pairing === "half" ? i : 2 * i);
        const b = base + (node.pairing === "half" ? i + pairs : 2 * i + 1);
        const angle = token * frequencies[i]!;
        const [cosine, sine] = [factor * Math.cos(angle), factor * Math.sin(angle)];
        const [first, second] = [x[a]!, x[b]!];
        x[a] = first * cosine - second * sine;
        x[b] = second * cosine + first * sine;
      }
    }
    return x;
  });
}

function attention(node: AttentionNode, query: Value, freshKey: Value, freshValue: Value): Value {
  const { heads, kvHeads, headDim, scale, window } = node;
  const cached = (fresh: Value) => ({ ...fresh, data: asCached(node.cache, fresh.data, headDim) });
  const [key, value] = [cached(freshKey), cached(freshValue)];
  const width = heads * headDim;
  return perToken(tokens(query), width, (token) => {
    const y = new Float64Array(width);
    const earliest = window === null ? 0 : token + 1 - window;
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor(head / (heads / kvHeads)) * headDim;
      const q = query.data.subarray(token * width + head * headDim, token * width + (head + 1) * headDim);
      const scores = Float64Array.from({ length: token + 1 }, (_, t) => {
        if (t < earliest) return Number.NEGATIVE_INFINITY;
        const begin = t * key.width + shared;
        return scale * dot(q, key.data.subarray(begin, begin + headDim));
      });
      const largest = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const weightsOfTokens = scores.map((score) => Math.exp(score - largest));
      const total = sum(weightsOfTokens);
      for (let t = 0; t <= token; t++) {
        for (let i = 0; i < headDim; i++) {
          y[head * headDim + i]! += (weightsOfTokens[t]! / total) * value.data[t * value.width + shared + i]!;
        }
      }
    }
    return y;
  });
}

function activate(name: ActivationFunction, x: number): number {
  switch (name) {
    case "relu":
      return Math.max(0, x);
    case "silu":
      return x / (1 + Math.exp(-x));
    case "gelu":
      return 0.5 * x * (1 + erf(x / Math.SQRT2));
    case "gelu_tanh":
      return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
    default:
      return name satisfies never;
  }
}

function perToken(count: number, width: number, row: (token: number) => Float64Array): Value {
  const data = new Float64Array(count * width);
  for (let token = 0; token < count; token++) data.set(row(token), token * width);
  return { width, data };
}

function map(input: Value, f: (x: number) => number): Value {
  return { width: input.width, data: input.data.map(f) };
}

function combine(left: Value, right: Value, f: (a: number, b: number) => number): Value {
  return { width: left.width, data: left.data.map((a, i) => f(a, right.data[i]!)) };
}

function tokens(value: Value): number {
  return value.data.length / value.width;
}

function rowOf(value: Value, token: number): Float64Array {
  return value.data.slice(token * value.width, (token + 1) * value.width);
}

function sum(x: Float64Array): number {
  return x.reduce((total, value) => total + value, 0);
}

/** The sum of a[i] b[i]. */
export function dot(a: Float64Array, b: Float64Array): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i]! * b[i]!;
  return total;
}
