import { epsilonOf, roundedNumber } from "./activation.js";
import { binary, unary } from "./arithmetic.js";
import { type Bases, factorOf, functionOf, sameView, withFunction } from "./bases.js";
import { broadcast, expanded, pickData, pickSymbol, simplified } from "./layout.js";
import { type Base, type Data, elementsOf, type Stat, type Symbolic, symbol, Unmatched } from "./value.js";

/** One of ONNX's functions of one number, of a symbol or of a statistic. */
export function mapSymbol<V extends Symbolic | Stat>(op: string, value: V): V {
  const of = unary[op]!;
  if (value.kind === "stat") {
    const { fn } = value as Stat;
    return { ...value, fn: (x: number) => of(fn(x)) };
  }
  const own = value as Symbolic;
  if (op === "Neg" && own.fn === null) return scaled(own, -1) as V;
  const fn = functionOf(own);
  return withFunction(own, (x) => of(fn(x))) as V;
}

function scaled(value: Symbolic, by: number): Symbolic {
  const terms = value.terms.map(({ index, factor }) => ({
    index,
    factor: typeof factor === "number" ? factor * by : factor.map((own) => own * by),
  }));
  return { ...value, terms };
}

/** A symbol or a statistic with a number, on whichever side. */
export function withNumber<V extends Symbolic | Stat>(
  op: string,
  value: V,
  number: number,
  isLeft: boolean,
): V {
  const of = binary[op]!;
  if (value.kind === "symbol" && value.fn === null) {
    if (op === "Mul") return scaled(value, number) as V;
    if (op === "Div" && !isLeft) return scaled(value, 1 / number) as V;
    if ((op === "Add" || (op === "Sub" && !isLeft)) && number === 0) return value;
  }
  const fn = value.kind === "stat" ? value.fn : functionOf(value);
  const composed = isLeft ? (x: number) => of(number, fn(x)) : (x: number) => of(fn(x), number);
  if (value.kind === "stat") return { ...value, fn: composed };
  return withFunction(value, composed) as V;
}

/** A symbol with numbers that are not all the same: the cosines and sines of rotations. */
export function withNumbers(op: string, value: Symbolic, numbers: Data): Symbolic {
  if (op === "Add" && numbers.values.every((x) => x === 0)) return value;
  if ((op !== "Mul" && op !== "Div") || value.fn !== null)
    throw new Unmatched(`has a symbol and numbers [${numbers.shape}] that are not all the same`);
  const shape = broadcast(value.shape, numbers.shape);
  const wide = pickSymbol(value, expanded(value.shape, shape));
  const { values } = pickData(numbers, expanded(numbers.shape, shape));
  const terms = wide.terms.map(({ index, factor }) => ({
    index,
    factor: values.map(
      (x, i) => (typeof factor === "number" ? factor : factor[i]!) * (op === "Mul" ? x : 1 / x),
    ),
  }));
  return simplified({ ...wide, terms });
}

/** Most channels in a sum of one base's: rotations add two. */
const maxTerms = 64;

/** Two symbols: a function of one base, a sum of its channels, or a sum or product of two values of the model. */
export function pairSymbols(op: string, left: Symbolic, right: Symbolic, bases: Bases): Symbolic {
  if (sameView(left, right) && factorOf(left) !== null && factorOf(right) !== null) {
    const [f, g, of] = [functionOf(left), functionOf(right), binary[op]!];
    return withFunction(left, (x) => of(f(x), g(x)));
  }
  const isSum = op === "Add" || op === "Sub";
  if (isSum && left.base === right.base && left.fn === null && right.fn === null) {
    const shape = broadcast(left.shape, right.shape);
    const [a, b] = [left, op === "Sub" ? scaled(right, -1) : right].map((one) =>
      pickSymbol(one, expanded(one.shape, shape)),
    ) as [Symbolic, Symbolic];
    if (a.terms.length + b.terms.length > maxTerms)
      throw new Unmatched(`sums more than ${maxTerms} channels`);
    return simplified({ ...a, terms: [...a.terms, ...b.terms] });
  }
  if (op !== "Add" && op !== "Mul") throw new Unmatched("has two values of the model");
  const base = bases.pair(op === "Add" ? "add" : "multiply", bases.whole(left), bases.whole(right));
  return symbol(base, elementsOf(left.shape) === left.shape.at(-1) ? right.shape : left.shape);
}

/** The mean over channels of a value or of its squares, as far as norms need it. */
export function meanOf(value: Symbolic, axes: readonly number[]): Stat {
  const { shape } = value;
  if (axes.length !== 1 || (axes[0]! + shape.length) % shape.length !== shape.length - 1)
    throw new Unmatched(`takes a mean over the axes ${axes}, not over channels`);
  const fn = functionOf(value);
  const method = [-2, -0.5, 1, 3].every((x) => fn(x) === x)
    ? "mean"
    : [-2, -0.5, 1, 3].every((x) => fn(x) === x * x)
      ? "meanSquare"
      : null;
  if (method === null) throw new Unmatched("takes a mean of something else than a value or its squares");
  const of = withFunction(value, (x) => x);
  return { kind: "stat", shape: [...shape.slice(0, -1), 1], of: { ...of, fn: null }, method, fn: (x) => x };
}

/** A value with the mean, or a function of the mean square, of its vectors: parts of norms. */
export function withStat(op: string, value: Symbolic, stat: Stat, bases: Bases, isLeft: boolean): Symbolic {
  if (!sameView(value, stat.of) || value.fn !== null || factorOf(value) !== 1 || isLeft)
    throw new Unmatched("has a value and a mean of another value");
  const { base, shape } = value;
  if (op === "Sub" && stat.method === "mean" && stat.fn(3) === 3) {
    if (shape.at(-1) !== base.width) throw new Unmatched("subtracts the means of parts of vectors");
    return { ...value, base: { op: "centered", width: base.width, input: bases.whole(value) } };
  }
  const fn = op === "Div" ? (x: number) => 1 / stat.fn(x) : stat.fn;
  const epsilon = (op === "Mul" || op === "Div") && stat.method === "meanSquare" ? epsilonOf(fn) : null;
  if (epsilon === null) throw new Unmatched("has a value and a function of its mean that no norm has");
  return norm(value, epsilon, bases);
}

/** A norm of the vectors along the last dimension, without gain and bias; of centred vectors it is a layer norm. */
export function norm(
  value: Symbolic,
  stored: number,
  bases: Bases,
  method: "layer" | "rms" = "rms",
): Symbolic {
  const { base, shape, terms } = value;
  const epsilon = roundedNumber(stored);
  const make = (input: Base, way: "layer" | "rms"): Base => {
    const heads = input.width / shape.at(-1)!;
    if (!Number.isInteger(heads)) throw new Unmatched("normalises parts of vectors that are no heads");
    return { op: "norm", method: way, width: input.width, input, heads, gain: null, bias: null, epsilon };
  };
  if (base.op === "centered") return { ...value, base: make(base.input, "layer") };
  // Heads that were moved to another dimension stay there.
  const { index } = terms[0]!;
  const isMoved = index !== null && index.length === bases.tokens * base.width;
  if (isMoved && value.fn === null && factorOf(value) === 1) return { ...value, base: make(base, method) };
  return symbol(make(bases.whole(value), method), shape);
}
