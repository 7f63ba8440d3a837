import {
  binary,
  chooseData,
  combineData,
  cumulated,
  mapData,
  reduceData,
  triangle,
  unary,
} from "./arithmetic.js";
import { chosenScores, withScores } from "./attention.js";
import { type Call, numbersOf, tensorData } from "./call.js";
import { requireFew } from "./layout.js";
import type { Handler } from "./ops-layout.js";
import { mapSymbol, meanOf, pairSymbols, withNumber, withNumbers, withStat } from "./symbols.js";
import {
  type Data,
  data,
  elementsOf,
  type Scores,
  type Stat,
  type Stored,
  type Symbolic,
  symbol,
  Unmatched,
  type Value,
  type Vector,
} from "./value.js";

function one(call: Call): Value {
  const value = call.input(0);
  const { opType } = call.node;
  if (value.kind === "symbol" || value.kind === "stat") return mapSymbol(opType, value);
  if (value.kind !== "scores") return mapData(opType, numbersOf(value));
  // A softmax has no row without a key here: every query sees itself.
  if (opType === "IsNaN" && value.normal)
    return data(value.shape, new Float64Array(elementsOf(value.shape)), true);
  throw new Unmatched("takes a function of the scores of attention");
}

type Known = Data | Symbolic | Stat | Scores;

function two(call: Call): Value {
  const { opType } = call.node;
  const [left, right] = [call.input(0), call.input(1)];
  return (
    vectorOf(call, left, right) ??
    combine(call, opType, settled(call, left, right), settled(call, right, left))
  );
}

/** An operand as numbers, where it is not made of values of the model; a table's rows for positions beside such become one. */
function settled({ trace }: Call, value: Value, other: Value): Known {
  if (value.kind === "symbol" || value.kind === "stat" || value.kind === "scores") return value;
  if (value.kind === "rows" && other.kind === "symbol") {
    const { tokens } = trace.bases;
    const offset = value.places.values[0]!;
    const isText =
      value.places.values.every((place, i) => place === offset + i) &&
      value.places.values.length === tokens &&
      offset + tokens <= value.table.shape[0]!;
    const width = value.shape.at(-1)!;
    if (isText && other.base.width === width && offset >= 0) {
      const { table, shape } = value;
      const base = { op: "embedding", index: "position", table, offset, scale: 1, width } as const;
      return { kind: "symbol", shape, base, terms: [{ index: null, factor: 1 }], fn: null };
    }
  }
  return numbersOf(value);
}

function combine({ node, trace }: Call, op: string, left: Known, right: Known): Value {
  const { bases } = trace;
  if (left.kind === "data" && right.kind === "data") return combineData(op, left, right);
  if (left.kind === "symbol" && right.kind === "symbol") return pairSymbols(op, left, right, bases);
  if (left.kind === "symbol" && right.kind === "stat") return withStat(op, left, right, bases, false);
  if (left.kind === "stat" && right.kind === "symbol") return withStat(op, right, left, bases, op !== "Mul");
  const isLeft = left.kind === "data";
  const [value, numbers] = isLeft ? [right, left] : [left, right];
  if (numbers.kind !== "data" || value.kind === "data") throw new Unmatched("has means of two values");
  if (value.kind === "scores") return withScores(op, value, numbers, isLeft, node.inputs[isLeft ? 0 : 1]!);
  const [number] = numbers.values;
  if (numbers.values.every((x) => x === number)) {
    const made = withNumber(op, value, number!, isLeft);
    // What follows reads the embedding as it is: scaled.
    const isEmbedding = made.kind === "symbol" && made.base.op === "embedding" && made.fn === null;
    return isEmbedding ? symbol(bases.whole(made), made.shape) : made;
  }
  if (value.kind === "stat") throw new Unmatched("has a mean and numbers that are not all the same");
  return withNumbers(op, value, numbers);
}

/** A norm times its gain, a norm or a linear plus its bias, and a gain that is stored less a number; null: none of these. */
function vectorOf({ node, trace }: Call, left: Value, right: Value): Value | null {
  for (const [value, vector] of [
    [left, right],
    [right, left],
  ] as const) {
    if (
      vector.kind !== "stored" ||
      elementsOf(vector.shape) !== vector.shape.at(-1) ||
      vector.shape.at(-1) === 1
    )
      continue;
    const what = node.opType === "Mul" ? "gain" : node.opType === "Add" ? "bias" : null;
    if (what === null || !isWeight(vector)) continue;
    if (value.kind === "symbol") {
      const found = trace.bases.withVector(value, vectorFrom(vector), what);
      if (found !== null) return found;
    } else if (value.kind !== "scores" && value.kind !== "stat" && value.kind !== "ids" && what === "bias") {
      if (elementsOf(value.shape) === 1)
        return { ...vector, plus: vector.plus + numbersOf(value).values[0]! };
    }
  }
  return null;
}

const weightTypes = ["f32", "f16", "bf16"];

/** Whether a stored value can be a weight: its elements lie in a file, and are of a type of weights. */
export function isWeight({ tensor: { element, data } }: Stored): boolean {
  return weightTypes.includes(element ?? "") && data !== null && "file" in data;
}

/** A stored vector as a gain or a bias. */
export function vectorFrom({ tensor, plus }: Stored): Vector {
  return { tensor, first: 0, length: elementsOf(tensor.shape), plus };
}

function where(call: Call): Value {
  const condition = call.numbers(0);
  const [yes, no] = [call.input(1), call.input(2)];
  for (const [value, other, holds] of [
    [yes, no, true],
    [no, yes, false],
  ] as const) {
    if (value.kind === "scores")
      return chosenScores(condition, value, numbersOf(other), holds, call.node.inputs[0]!);
    const always = condition.values.every((x) => (x !== 0) === holds);
    if (value.kind === "symbol" && always) return value;
  }
  return chooseData(condition, numbersOf(yes), numbersOf(no));
}

function reduce(call: Call): Value {
  const value = call.input(0);
  const { opType } = call.node;
  const given = call.list(1, "axes");
  const keep = call.number("keepdims", 1) !== 0;
  if (value.kind === "symbol") {
    if (opType !== "ReduceMean") throw new Unmatched("reduces a value of the model otherwise than norms do");
    const stat = meanOf(value, given ?? []);
    return keep ? stat : { ...stat, shape: stat.shape.slice(0, -1) };
  }
  const numbers = numbersOf(value);
  if (given === null && call.number("noop_with_empty_axes", 0) !== 0) return numbers;
  return reduceData(
    opType,
    numbers,
    given?.map((axis) => call.axis(axis, numbers.shape.length)) ?? null,
    keep,
  );
}

function range(call: Call): Value {
  const [start, limit, delta] = [0, 1, 2].map((index) => call.numbers(index)) as [Data, Data, Data];
  const [first, step] = [start.values[0]!, delta.values[0]!];
  const count = Math.max(0, Math.ceil((limit.values[0]! - first) / step));
  requireFew([count]);
  return data(
    [count],
    Float64Array.from({ length: count }, (_, i) => first + i * step),
    start.whole && delta.whole,
  );
}

function filled(call: Call): Value {
  const shape = [...call.numbers(0).values];
  requireFew(shape);
  const tensor = call.tensor("value");
  const value = tensor === null ? data([1], new Float64Array(1), false) : tensorData(tensor);
  return data(shape, new Float64Array(elementsOf(shape)).fill(value.values[0]!), value.whole);
}

function constant(call: Call): Value {
  const tensor = call.tensor("value");
  if (tensor !== null) return { kind: "stored", tensor, shape: tensor.shape, transposed: false, plus: 0 };
  for (const [key, whole] of [
    ["value_int", true],
    ["value_ints", true],
    ["value_float", false],
    ["value_floats", false],
  ] as const) {
    const value = call.node.attributes.get(key);
    if (typeof value === "number") return data([], Float64Array.of(value), whole);
    if (Array.isArray(value)) return data([value.length], Float64Array.from(value as number[]), whole);
  }
  throw new Unmatched("holds no numbers");
}

function shapeOf(call: Call): Value {
  const { shape } = call.input(0);
  const bound = (at: number) => (at < 0 ? Math.max(0, at + shape.length) : Math.min(at, shape.length));
  const part = shape.slice(bound(call.number("start", 0)), bound(call.number("end", shape.length)));
  return data([part.length], Float64Array.from(part), true);
}

/** Operators on numbers, symbols and scores, element by element, and those that make numbers. */
export const numberHandlers: Readonly<Record<string, Handler>> = {
  ...Object.fromEntries(Object.keys(unary).map((op) => [op, one])),
  ...Object.fromEntries(Object.keys(binary).map((op) => [op, two])),
  ...Object.fromEntries(
    ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"].map((op) => [op, reduce]),
  ),
  Where: where,
  Range: range,
  ConstantOfShape: filled,
  Constant: constant,
  Shape: shapeOf,
  Size: (call) => data([], Float64Array.of(elementsOf(call.input(0).shape)), true),
  CumSum: (call) => {
    const value = call.numbers(0);
    return cumulated(value, call.axis(call.numbers(1).values[0]!, value.shape.length));
  },
  Trilu: (call) =>
    triangle(call.numbers(0), call.number("upper", 1) !== 0, call.has(1) ? call.numbers(1).values[0]! : 0),
};
