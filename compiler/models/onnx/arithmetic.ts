import { erf } from "../../support/erf.js";
import { broadcast, expanded, pickData, stridesOf } from "./layout.js";
import { type Data, data, elementsOf, Unmatched } from "./value.js";

/** ONNX's functions of one number. */
export const unary: Readonly<Record<string, (x: number) => number>> = {
  Neg: (x) => -x,
  Sqrt: Math.sqrt,
  Cos: Math.cos,
  Sin: Math.sin,
  Tanh: Math.tanh,
  Erf: erf,
  Exp: Math.exp,
  Log: Math.log,
  Abs: Math.abs,
  Floor: Math.floor,
  Ceil: Math.ceil,
  Sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  Reciprocal: (x) => 1 / x,
  Relu: (x) => Math.max(0, x),
  Sign: Math.sign,
  Not: (x) => Number(x === 0),
  IsNaN: (x) => Number(Number.isNaN(x)),
  IsInf: (x) => Number(Math.abs(x) === Number.POSITIVE_INFINITY),
};

/** ONNX's functions of two numbers. */
export const binary: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
  Pow: (a, b) => a ** b,
  Min: Math.min,
  Max: Math.max,
  Mod: (a, b) => a - b * Math.floor(a / b),
  Equal: (a, b) => Number(a === b),
  Less: (a, b) => Number(a < b),
  LessOrEqual: (a, b) => Number(a <= b),
  Greater: (a, b) => Number(a > b),
  GreaterOrEqual: (a, b) => Number(a >= b),
  And: (a, b) => Number(a !== 0 && b !== 0),
  Or: (a, b) => Number(a !== 0 || b !== 0),
  Xor: (a, b) => Number((a !== 0) !== (b !== 0)),
};

/** Functions of whole numbers and truth values give such again, but for these. */
const truths = /^(Equal|Less|LessOrEqual|Greater|GreaterOrEqual|And|Or|Xor|Not|IsNaN|IsInf)$/;

/** One of `unary` of each number. */
export function mapData(op: string, { shape, values, whole }: Data): Data {
  return data(shape, values.map(unary[op]!), whole || truths.test(op));
}

/** One of `binary` of each two numbers, broadcast; a quotient of whole numbers is cut off. */
export function combineData(op: string, left: Data, right: Data): Data {
  const shape = broadcast(left.shape, right.shape);
  const [a, b] = [left, right].map((one) => pickData(one, expanded(one.shape, shape)).values) as [
    Float64Array,
    Float64Array,
  ];
  const whole = left.whole && right.whole;
  const of = op === "Div" && whole ? (x: number, y: number) => Math.trunc(x / y) : binary[op]!;
  return data(
    shape,
    a.map((x, i) => of(x, b[i]!)),
    whole || truths.test(op),
  );
}

/** `yes` where `condition` holds, else `no`. */
export function chooseData(condition: Data, yes: Data, no: Data): Data {
  const shape = broadcast(broadcast(condition.shape, yes.shape), no.shape);
  const [c, y, n] = [condition, yes, no].map((one) => pickData(one, expanded(one.shape, shape)).values);
  return data(
    shape,
    c!.map((x, i) => (x !== 0 ? y![i]! : n![i]!)),
    yes.whole && no.whole,
  );
}

const reductions: Readonly<Record<string, (values: readonly number[]) => number>> = {
  ReduceSum: (values) => values.reduce((sum, x) => sum + x, 0),
  ReduceMean: (values) => values.reduce((sum, x) => sum + x, 0) / values.length,
  ReduceMax: (values) => Math.max(...values),
  ReduceMin: (values) => Math.min(...values),
  ReduceProd: (values) => values.reduce((product, x) => product * x, 1),
};

/** A reduction over axes; null: all of them. */
export function reduceData(op: string, value: Data, axes: readonly number[] | null, keep: boolean): Data {
  const of = reductions[op];
  if (of === undefined) throw new Unmatched("is no reduction that gsic has");
  const over = new Set(axes ?? value.shape.map((_, axis) => axis));
  const kept = value.shape.map((length, axis) => (over.has(axis) ? 1 : length));
  const strides = stridesOf(kept).map((stride, axis) => (over.has(axis) ? 0 : stride));
  const own = stridesOf(value.shape);
  const groups = Array.from({ length: elementsOf(kept) }, (): number[] => []);
  for (const [place, x] of value.values.entries()) {
    const group = own.reduce(
      (sum, stride, axis) => sum + (Math.floor(place / stride) % value.shape[axis]!) * strides[axis]!,
      0,
    );
    groups[group]!.push(x);
  }
  const shape = keep ? kept : kept.filter((_, axis) => !over.has(axis));
  return data(shape, Float64Array.from(groups, of), value.whole);
}

/** Sums up to each element along an axis. */
export function cumulated({ shape, values, whole }: Data, axis: number): Data {
  const stride = stridesOf(shape)[axis]!;
  const sums = values.slice();
  for (let place = 0; place < sums.length; place++)
    if (Math.floor(place / stride) % shape[axis]! > 0) sums[place] = sums[place]! + sums[place - stride]!;
  return data(shape, sums, whole);
}

/** Matrices with zeros above, or below, a diagonal. */
export function triangle({ shape, values, whole }: Data, upper: boolean, diagonal: number): Data {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const kept = values.map((x, place) => {
    const [row, column] = [Math.floor(place / columns) % rows, place % columns];
    return (upper ? column - row >= diagonal : column - row <= diagonal) ? x : 0;
  });
  return data(shape, kept, whole);
}

/** Most products of two numbers in a matrix: positions times frequencies are one for each element. */
const maxProducts = 2 ** 28;

/** Products of matrices of small constants, such as positions times frequencies. */
export function multiplyData(left: Data, right: Data): Data {
  const [rows, inner] = left.shape.slice(-2) as [number, number];
  const columns = right.shape.at(-1)!;
  if (left.shape.length < 2 || right.shape.at(-2) !== inner)
    throw new Unmatched(`multiplies [${left.shape}] by [${right.shape}]`);
  const lead = broadcast(left.shape.slice(0, -2), right.shape.slice(0, -2));
  const a = pickData(left, expanded(left.shape, [...lead, rows, inner])).values;
  const b = pickData(right, expanded(right.shape, [...lead, inner, columns])).values;
  const shape = [...lead, rows, columns];
  if (elementsOf(shape) * inner > maxProducts)
    throw new Unmatched(`multiplies [${left.shape}] by [${right.shape}], which takes too long`);
  const product = new Float64Array(elementsOf(shape));
  for (let place = 0; place < product.length; place++) {
    const [row, column] = [Math.floor(place / columns), place % columns];
    const matrix = Math.floor(row / rows);
    let sum = 0;
    for (let i = 0; i < inner; i++) sum += a[row * inner + i]! * b[(matrix * inner + i) * columns + column]!;
    product[place] = sum;
  }
  return data(shape, product, left.whole && right.whole);
}
