import { erf } from "../../support/erf.js";
import { multiplyData } from "./arithmetic.js";
import { attended, scoresOf, seenOf } from "./attention.js";
import { functionOf, withFunction } from "./bases.js";
import { type Call, numbersOf } from "./call.js";
import type { Handler } from "./ops-layout.js";
import { isWeight, vectorFrom } from "./ops-numbers.js";
import { norm, pairSymbols } from "./symbols.js";
import { type Stored, type Symbolic, symbol, Unmatched, type Value } from "./value.js";

function weightOf(value: Value, what: string): Stored {
  if (value.kind === "stored" && isWeight(value) && value.plus === 0) return value;
  throw new Unmatched(`needs ${what} as an initializer of f32, f16 or bf16`);
}

function symbolOf(value: Value): Symbolic {
  if (value.kind === "symbol") return value;
  throw new Unmatched("needs a value of the model");
}

/** A value times a stored matrix [d, out]. */
function project({ trace: { bases } }: Call, value: Symbolic, weight: Stored): Symbolic {
  if (weight.shape.length !== 2) throw new Unmatched(`multiplies by a stored value [${weight.shape}]`);
  const base = bases.linear(bases.whole(value), weight);
  return symbol(base, [...value.shape.slice(0, -1), base.width]);
}

function matMul(call: Call): Value {
  const [left, right] = [call.input(0), call.input(1)];
  if (left.kind === "symbol" && right.kind === "stored")
    return project(call, left, weightOf(right, "its matrix"));
  if (left.kind === "symbol" && right.kind === "symbol") return scoresOf(left, right);
  if (left.kind === "scores" && right.kind === "symbol") {
    const { bases, windowOf } = call.trace;
    const seen = seenOf(left.mask ?? new Float64Array(bases.tokens ** 2), bases.tokens);
    return attended(left, right, bases, windowOf(left.masks, seen));
  }
  return multiplyData(numbersOf(left), numbersOf(right));
}

function gemm(call: Call): Value {
  if (call.number("transA", 0) !== 0 || call.number("alpha", 1) !== 1)
    throw new Unmatched("turns or scales its input");
  const matrix = weightOf(call.input(1), "its matrix");
  const turned = { ...matrix, shape: [...matrix.shape].reverse(), transposed: !matrix.transposed };
  const value = project(call, symbolOf(call.input(0)), call.number("transB", 0) !== 0 ? turned : matrix);
  if (!call.has(2)) return value;
  return biased(call, value, 2);
}

/** A value times a stored matrix [d, out], plus a stored bias where there is one: inputs of these numbers. */
export function linearOf(call: Call, value: Symbolic, weight: number, bias: number): Symbolic {
  return biased(call, project(call, value, weightOf(call.input(weight), "its matrix")), bias);
}

/** A value plus an input of the node, where that is not left out. */
function biased(call: Call, value: Symbolic, input: number): Symbolic {
  if (!call.has(input)) return value;
  const bias = weightOf(call.input(input), "its bias");
  const found =
    call.number("beta", 1) === 1 ? call.trace.bases.withVector(value, vectorFrom(bias), "bias") : null;
  if (found === null) throw new Unmatched(`adds a bias [${bias.shape}] to [${value.shape}]`);
  return found;
}

function softmax(call: Call): Value {
  const value = call.input(0);
  if (value.kind !== "scores" || value.normal)
    throw new Unmatched("takes a softmax of something else than scores");
  const rank = value.shape.length;
  if (call.axis(call.number("axis", -1), rank) !== rank - 1)
    throw new Unmatched("takes a softmax over other than keys");
  return { ...value, normal: true };
}

/** A norm over the last dimension, with its gain at input `gain` and its bias behind that. */
function normOf(call: Call, value: Symbolic, method: "layer" | "rms", gain: number): Symbolic {
  const rank = value.shape.length;
  if (call.axis(call.number("axis", -1), rank) !== rank - 1)
    throw new Unmatched("normalises more than channels");
  const plain = norm(value, call.number("epsilon", 1e-5), call.trace.bases, method);
  const stored = call.input(gain);
  if (stored.kind !== "stored" || !isWeight(stored)) throw new Unmatched("needs its gain as an initializer");
  const scaled = call.trace.bases.withVector(plain, vectorFrom(stored), "gain");
  if (scaled === null) throw new Unmatched(`multiplies [${value.shape}] by a gain [${stored.shape}]`);
  return method === "rms" ? scaled : biased(call, scaled, gain + 1);
}

/** ONNX Runtime's norm of a sum, with a bias that belongs to a linear among its terms; its last output is the sum. */
function skipNorm(call: Call, method: "layer" | "rms"): readonly Value[] {
  const { bases } = call.trace;
  const terms = [symbolOf(call.input(0)), symbolOf(call.input(1))];
  const bias = method === "rms" ? 3 : 4;
  if (call.has(bias)) {
    const vector = vectorFrom(weightOf(call.input(bias), "its bias"));
    const isOwner = ({ base }: Symbolic) => base.op === "linear" && base.bias === null;
    const owner = terms.findIndex(isOwner);
    const found = owner < 0 ? null : bases.withVector(terms[owner]!, vector, "bias");
    if (found === null) throw new Unmatched("adds a bias to a sum of which no linear lacks one");
    terms[owner] = found;
  }
  const sum = pairSymbols("Add", terms[0]!, terms[1]!, bases);
  const unknown = { kind: "unknown", shape: [] } as const;
  return [normOf(call, sum, method, 2), unknown, unknown, sum];
}

/** A function of each element. */
const activation =
  (of: (call: Call) => (x: number) => number): Handler =>
  (call) => {
    const value = symbolOf(call.input(0));
    const [outer, inner] = [of(call), functionOf(value)];
    return withFunction(value, (x) => outer(inner(x)));
  };

const gelu = (x: number) => (x * (1 + erf(x / Math.SQRT2))) / 2;
const geluTanh = (x: number) => (x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))) / 2;

/** Operators that are whole parts of a model; ONNX Runtime's among them stand in its own domain, or in ONNX's. */
export const modelHandlers: Readonly<Record<string, Handler>> = {
  MatMul: matMul,
  Gemm: gemm,
  Softmax: softmax,
  LayerNormalization: (call) => normOf(call, symbolOf(call.input(0)), "layer", 1),
  RMSNormalization: (call) => normOf(call, symbolOf(call.input(0)), "rms", 1),
  SimplifiedLayerNormalization: (call) => normOf(call, symbolOf(call.input(0)), "rms", 1),
  SkipLayerNormalization: (call) => skipNorm(call, "layer"),
  SkipSimplifiedLayerNormalization: (call) => skipNorm(call, "rms"),
  Gelu: activation((call) => (call.text("approximate", "none") === "tanh" ? geluTanh : gelu)),
  FastGelu: (call) => {
    const value = biased(call, symbolOf(call.input(0)), 1);
    const inner = functionOf(value);
    return withFunction(value, (x) => geluTanh(inner(x)));
  },
  BiasGelu: (call) => {
    const value = biased(call, symbolOf(call.input(0)), 1);
    const inner = functionOf(value);
    return withFunction(value, (x) => gelu(inner(x)));
  },
  Swish: activation((call) => {
    const alpha = call.number("alpha", 1);
    return (x) => x / (1 + Math.exp(-alpha * x));
  }),
  QuickGelu: activation((call) => {
    const alpha = call.number("alpha", 1.702);
    return (x) => x / (1 + Math.exp(-alpha * x));
  }),
};
