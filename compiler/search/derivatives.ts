/**
 * The nodes of a graph but its linears and attention, forwards and backwards: f32, all tokens at once, with one loop for each direction
 * of each kind. Values are [tokens, width], row by row; a gradient has the shape of its value.
 */
import type { Node, NormNode, RopeNode, ValueId } from "../ir/graph.js";
import { ropeTable } from "../layout/rope.js";
import type { Weights } from "../read/weights.js";
import { erf } from "../support/erf.js";
import type { Tokens } from "./attention-gradient.js";

/** Gives the value of a node: [tokens, width]. */
export type Values = (id: ValueId) => Float32Array;

type Plain = Exclude<Node, { kind: "linear" | "attention" }>;

/** The value of a node. */
export function nodeValue(node: Plain, weights: Weights, tokens: Tokens, get: Values): Float32Array {
  switch (node.kind) {
    case "embedding": {
      const { d } = node.table;
      const value = new Float32Array(tokens.ids.length * d);
      tokens.ids.forEach((id, token) => {
        const row = (node.index === "token" ? id : token % tokens.window) + node.offset;
        value.set(
          weights.readRows(node.table, row, 1).map((element) => element * node.scale),
          token * d,
        );
      });
      return value;
    }
    case "norm":
      return normalised(node, weights, get(node.input));
    case "rope":
      return rotated(node, tokens, get(node.input), 1);
    case "activation":
      return get(node.input).map(activations[node.function]);
    case "add": {
      const right = get(node.right);
      return get(node.left).map((left, i) => left + right[i]!);
    }
    case "multiply": {
      const right = get(node.right);
      return get(node.left).map((left, i) => left * right[i]!);
    }
    default:
      return node satisfies never;
  }
}

/** Values that `gradientsOf` a node reads: all but what they are not needed for. */
export function neededOf(node: Node): readonly ValueId[] {
  switch (node.kind) {
    case "embedding":
    case "rope":
    case "add":
      return [];
    case "norm":
    case "linear":
    case "activation":
      return [node.input];
    case "attention":
      return [node.query, node.key, node.value];
    case "multiply":
      return [node.left, node.right];
    default:
      return node satisfies never;
  }
}

/** The gradients of what a node reads, from that of its value. */
export function gradientsOf(
  node: Plain,
  weights: Weights,
  tokens: Tokens,
  get: Values,
  gradient: Float32Array,
): readonly (readonly [ValueId, Float32Array])[] {
  switch (node.kind) {
    case "embedding":
      return [];
    case "norm":
      return [[node.input, normGradient(node, weights, get(node.input), gradient)]];
    case "rope":
      return [[node.input, rotated(node, tokens, gradient, -1)]];
    case "activation": {
      const [input, slope] = [get(node.input), slopes[node.function]];
      return [[node.input, gradient.map((one, i) => one * slope(input[i]!))]];
    }
    case "add":
      return [
        [node.left, gradient],
        [node.right, gradient],
      ];
    case "multiply": {
      const [left, right] = [get(node.left), get(node.right)];
      return [
        [node.left, gradient.map((one, i) => one * right[i]!)],
        [node.right, gradient.map((one, i) => one * left[i]!)],
      ];
    }
    default:
      return node satisfies never;
  }
}

const rootOfTwoPi = Math.sqrt(2 / Math.PI);
const cubic = 0.044715;
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const normalShare = (x: number) => 0.5 * (1 + erf(x / Math.SQRT2));
const tanhOf = (x: number) => Math.tanh(rootOfTwoPi * (x + cubic * x ** 3));

const activations = {
  relu: (x: number) => Math.max(0, x),
  silu: (x: number) => x * sigmoid(x),
  gelu: (x: number) => x * normalShare(x),
  gelu_tanh: (x: number) => 0.5 * x * (1 + tanhOf(x)),
} as const;

/** Their derivatives. */
const slopes = {
  relu: (x: number) => (x > 0 ? 1 : 0),
  silu: (x: number) => sigmoid(x) * (1 + x * (1 - sigmoid(x))),
  gelu: (x: number) => normalShare(x) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI),
  gelu_tanh: (x: number) => {
    const t = tanhOf(x);
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * rootOfTwoPi * (1 + 3 * cubic * x * x);
  },
} as const;

/** Calls `use(begin, mean, scale)` for each vector of a norm's input. */
function eachVector(
  { method, epsilon, gain: { length } }: NormNode,
  input: Float32Array,
  use: (begin: number, mean: number, scale: number) => void,
): void {
  for (let begin = 0; begin < input.length; begin += length) {
    let [sum, squares] = [0, 0];
    if (method === "layer") for (let i = 0; i < length; i++) sum += input[begin + i]!;
    const mean = sum / length;
    for (let i = 0; i < length; i++) squares += (input[begin + i]! - mean) ** 2;
    use(begin, mean, 1 / Math.sqrt(squares / length + epsilon));
  }
}

function normalised(node: NormNode, weights: Weights, input: Float32Array): Float32Array {
  const gain = weights.readVector(node.gain);
  const bias = node.bias === null ? null : weights.readVector(node.bias);
  const value = new Float32Array(input.length);
  eachVector(node, input, (begin, mean, scale) => {
    for (let i = 0; i < gain.length; i++)
      value[begin + i] = (input[begin + i]! - mean) * scale * gain[i]! + (bias?.[i] ?? 0);
  });
  return value;
}

function normGradient(
  node: NormNode,
  weights: Weights,
  input: Float32Array,
  gradient: Float32Array,
): Float32Array {
  const gain = weights.readVector(node.gain);
  const n = gain.length;
  const result = new Float32Array(input.length);
  eachVector(node, input, (begin, mean, scale) => {
    let [sum, along] = [0, 0];
    for (let i = 0; i < n; i++) {
      const one = gradient[begin + i]! * gain[i]!;
      sum += one;
      along += one * (input[begin + i]! - mean) * scale;
    }
    const shift = node.method === "layer" ? sum / n : 0;
    for (let i = 0; i < n; i++) {
      const unit = (input[begin + i]! - mean) * scale;
      result[begin + i] = scale * (gradient[begin + i]! * gain[i]! - shift - (unit * along) / n);
    }
  });
  return result;
}

/** Rotates channels by the angles of their positions, or with direction -1 back: the transpose of a rotation. */
function rotated(node: RopeNode, { ids, window }: Tokens, input: Float32Array, direction: 1 | -1) {
  const { heads, headDim, rotaryDim, pairing } = node;
  const pairs = rotaryDim / 2;
  const table = ropeTable(node, Math.min(window, ids.length));
  const value = Float32Array.from(input);
  for (let token = 0; token < ids.length; token++) {
    const angles = (token % window) * 2 * pairs;
    for (let head = 0; head < heads; head++) {
      const base = (token * heads + head) * headDim;
      for (let i = 0; i < pairs; i++) {
        const a = base + (pairing === "half" ? i : 2 * i);
        const b = base + (pairing === "half" ? i + pairs : 2 * i + 1);
        const [cosine, sine] = [table[angles + i]!, direction * table[angles + pairs + i]!];
        value[a] = input[a]! * cosine - input[b]! * sine;
        value[b] = input[b]! * cosine + input[a]! * sine;
      }
    }
  }
  return value;
}
