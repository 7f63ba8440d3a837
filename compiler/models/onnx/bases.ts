import { activationOf } from "./activation.js";
import {
  type Base,
  elementsOf,
  type Stored,
  type Symbolic,
  symbol,
  Unmatched,
  type Vector,
} from "./value.js";

/** Whether two values are elements of one base at the same places. */
export function sameView(left: Symbolic, right: Symbolic): boolean {
  const [a, b] = [left.terms[0]!.index, right.terms[0]!.index];
  const single = left.base === right.base && left.terms.length === 1 && right.terms.length === 1;
  if (!single || elementsOf(left.shape) !== elementsOf(right.shape)) return false;
  return a === b || (a !== null && b !== null && a.every((place, i) => place === b[i]));
}

/** The factor of a value that is one base's elements, all times the same; null: it is not. */
export function factorOf({ terms }: Symbolic): number | null {
  const [term, ...others] = terms;
  return others.length === 0 && typeof term!.factor === "number" ? term!.factor : null;
}

/** The value as a function of elements that stand there as they are. */
export function functionOf(value: Symbolic): (x: number) => number {
  const factor = factorOf(value);
  if (factor === null) throw new Unmatched("takes a function of sums of channels");
  const fn = value.fn ?? ((x) => x);
  return factor === 1 ? fn : (x) => fn(factor * x);
}

/** The value with another function of its base's elements. */
export function withFunction(value: Symbolic, fn: (x: number) => number): Symbolic {
  return { ...value, terms: [{ index: value.terms[0]!.index, factor: 1 }], fn: remembering(fn) };
}

/** A function that knows its last value: one that is made of another twice, and so on, would take for ever. */
function remembering(fn: (x: number) => number): (x: number) => number {
  let last: readonly [x: number, y: number] | undefined;
  return (x) => {
    if (last === undefined || !Object.is(last[0], x)) last = [x, fn(x)];
    return last[1];
  };
}

/** The bases of a graph, each made once. */
export class Bases {
  private readonly made = new Map<string, Base>();
  private readonly ids = new Map<object, number>();

  /** `tokens` is the length of the text that the graph is read for. */
  constructor(readonly tokens: number) {}

  /** The base that a value is, whole and in order: a part of a linear's outputs is a linear, too. */
  whole(value: Symbolic): Base {
    const part = this.part(value);
    const factor = factorOf(value);
    if (factor === null) throw new Unmatched("reads sums of channels as they come of rotations");
    if (value.fn !== null) return this.activation(part, functionOf(value));
    if (factor === 1) return part;
    if (part.op === "embedding") {
      const root = Math.sqrt(part.width);
      const scale = part.scale * factor;
      const exact = Math.abs(scale - root) <= 1e-6 * root ? root : scale;
      return this.once({ ...part, scale: exact }, part, "scale", factor);
    }
    throw new Unmatched(`reads values times ${factor}`);
  }

  /** Like `whole`, of the elements without functions and factors. */
  private part(value: Symbolic): Base {
    const { base, terms, shape } = value;
    const { index } = terms[0]!;
    const elements = elementsOf(shape);
    if (index === null && elements === this.tokens * base.width) return base;
    const width = elements / this.tokens;
    const first = index?.[0] ?? 0;
    const isRows =
      index?.every((place, i) => place === Math.floor(i / width) * base.width + first + (i % width)) ?? false;
    if (!isRows || terms.length !== 1 || !Number.isInteger(width))
      throw new Unmatched("reads channels or tokens in another order, or not all of them");
    return this.columns(base, first, width);
  }

  /** Channels `first` to `first + width` of a linear's outputs, as a linear. */
  columns(base: Base, first: number, width: number): Base {
    if (first === 0 && width === base.width) return base;
    if (base.op !== "linear") throw new Unmatched(`reads a part of the outputs of a ${base.op}`);
    const bias = base.bias && { ...base.bias, first: base.bias.first + first, length: width };
    const part = { ...base, width, first: base.first + first, bias };
    return this.once(part, base, "columns", first, width);
  }

  activation(input: Base, fn: (x: number) => number): Base {
    const name = activationOf(fn);
    if (name === null) {
      const at = [-2, -1, 1, 2].map((x) => `f(${x}) = ${Number(fn(x).toPrecision(5))}`).join(", ");
      throw new Unmatched(`reads an activation function that gsic does not have: ${at}`);
    }
    return this.once({ op: "activation", width: input.width, input, function: name }, input, name);
  }

  linear(input: Base, weight: Stored): Base {
    const [d, out] = weight.shape as [number, number];
    if (d !== input.width)
      throw new Unmatched(`multiplies ${input.width} channels by a matrix [${weight.shape}]`);
    return { op: "linear", width: out, input, weight, first: 0, bias: null };
  }

  /** A sum or product of two bases. Of (a + b) + x, where a and b are linears, it is (x + a) + b: kernels add a linear to a value. */
  pair(op: "add" | "multiply", left: Base, right: Base): Base {
    if (left.width !== right.width)
      throw new Unmatched(`has values of ${left.width} and ${right.width} channels`);
    for (const [sum, other] of [
      [left, right],
      [right, left],
    ] as const)
      if (op === "add" && sum.op === "add" && sum.left.op === "linear" && sum.right.op === "linear")
        return { ...sum, left: { ...sum, left: other, right: sum.left } };
    return { op, width: left.width, left, right };
  }

  /** A norm's or linear's output with a vector as its gain, or as its bias; null: it takes none. */
  withVector(value: Symbolic, vector: Vector, what: "gain" | "bias"): Symbolic | null {
    const { base } = value;
    if (value.fn !== null || factorOf(value) !== 1) return null;
    const isNorm = base.op === "norm" && vector.length === base.width / base.heads && base[what] === null;
    if (isNorm) return { ...value, base: { ...base, [what]: vector } };
    const isWhole = value.terms[0]!.index === null && vector.length === base.width;
    if (base.op !== "linear" || what !== "bias" || base.bias !== null || !isWhole) return null;
    return symbol({ ...base, bias: vector }, value.shape);
  }

  private once(base: Base, ...key: readonly (Base | string | number)[]): Base {
    const text = key.map((part) => (typeof part === "object" ? `#${this.idOf(part)}` : part)).join(" ");
    const known = this.made.get(text);
    if (known !== undefined) return known;
    this.made.set(text, base);
    return base;
  }

  private idOf(base: object): number {
    const known = this.ids.get(base) ?? this.ids.size;
    this.ids.set(base, known);
    return known;
  }
}
