import {
  type Data,
  elementsOf,
  type Ids,
  type Rows,
  type Stored,
  type Symbolic,
  type Term,
  Unmatched,
} from "./value.js";

/** A value whose elements are another's, elsewhere: for each of them the place there; null: the same places. */
export interface Picked {
  readonly shape: readonly number[];
  readonly index: Int32Array | null;
}

/** Strides of a shape, in elements. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
}

/** Most elements of a value: short texts have no more, but tables of masks. */
const maxElements = 1 << 24;

/** Picks by coordinates: for each dimension of the result, what each coordinate adds to the place in the source. */
function pick(tables: readonly Int32Array[]): Picked {
  requireFew(tables.map(({ length }) => length));
  let places = new Int32Array(1);
  for (const table of tables) {
    const next = new Int32Array(places.length * table.length);
    for (let row = 0, at = 0; row < places.length; row++)
      for (const step of table) next[at++] = places[row]! + step;
    places = next;
  }
  return { shape: tables.map(({ length }) => length), index: places };
}

/** Refuses shapes that only a file made to mislead has. */
export function requireFew(shape: readonly number[]): void {
  if (!(elementsOf(shape) <= maxElements)) throw new Unmatched(`makes a value of [${shape}]`);
}

function steps(count: number, stride: number, first = 0, by = 1): Int32Array {
  requireFew([count]);
  return Int32Array.from({ length: count }, (_, i) => (first + i * by) * stride);
}

/** Dimensions in another order. */
export function transposed(shape: readonly number[], order: readonly number[]): Picked {
  const strides = stridesOf(shape);
  if (
    order.length !== shape.length ||
    new Set(order).size !== shape.length ||
    order.some((axis) => !(axis in shape))
  )
    throw new Unmatched(`has the order [${order}] for ${shape.length} dimensions`);
  return pick(order.map((axis) => steps(shape[axis]!, strides[axis]!)));
}

/** Coordinates along axes: `first`, and then every `by`th, `count` of them. */
export function sliced(
  shape: readonly number[],
  cuts: ReadonlyMap<number, { readonly first: number; readonly count: number; readonly by: number }>,
): Picked {
  const strides = stridesOf(shape);
  return pick(
    shape.map((length, axis) => {
      const { first, count, by } = cuts.get(axis) ?? { first: 0, count: length, by: 1 };
      return steps(count, strides[axis]!, first, by);
    }),
  );
}

/** Repeats dimensions of 1 until the shape is `wanted`, or what both are broadcast to. */
export function expanded(shape: readonly number[], wanted: readonly number[]): Picked {
  const result = broadcast(shape, wanted);
  if (result.join() === shape.join()) return { shape, index: null };
  const strides = stridesOf(shape);
  const lead = result.length - shape.length;
  return pick(
    result.map((length, axis) => {
      const own = axis - lead;
      return steps(length, own >= 0 && shape[own] !== 1 ? strides[own]! : 0);
    }),
  );
}

/** The elements at `places` along an axis. */
export function gathered(shape: readonly number[], axis: number, places: Data): Picked {
  const strides = stridesOf(shape);
  const chosen = Int32Array.from(places.values, (place) => {
    const at = place < 0 ? place + shape[axis]! : place;
    if (!(at >= 0 && at < shape[axis]!)) throw new Unmatched(`reads place ${place} of ${shape[axis]}`);
    return at * strides[axis]!;
  });
  const own = shape.map((length, other) => (other === axis ? chosen : steps(length, strides[other]!)));
  const { index } = pick(own);
  return { shape: [...shape.slice(0, axis), ...places.shape, ...shape.slice(axis + 1)], index };
}

/** Each dimension so many times. */
export function tiled(shape: readonly number[], times: readonly number[]): Picked {
  const strides = stridesOf(shape);
  requireFew(shape.map((length, axis) => length * times[axis]!));
  return pick(
    shape.map((length, axis) =>
      Int32Array.from({ length: length * times[axis]! }, (_, i) => (i % length) * strides[axis]!),
    ),
  );
}

/** The shape that two shapes are broadcast to. */
export function broadcast(left: readonly number[], right: readonly number[]): number[] {
  const rank = Math.max(left.length, right.length);
  return Array.from({ length: rank }, (_, axis) => {
    const [a, b] = [left[axis - rank + left.length] ?? 1, right[axis - rank + right.length] ?? 1];
    if (a !== b && a !== 1 && b !== 1) throw new Unmatched(`has inputs [${left}] and [${right}]`);
    return a === 1 ? b : a;
  });
}

/** Numbers elsewhere. */
export function pickData({ values, whole }: Data, { shape, index }: Picked): Data {
  const picked = index === null ? values : Float64Array.from(index, (place) => values[place]!);
  return { kind: "data", shape, values: picked, whole };
}

/** A symbol whose elements are another's, elsewhere. */
export function pickSymbol(value: Symbolic, { shape, index }: Picked): Symbolic {
  if (index === null) return { ...value, shape };
  const terms = value.terms.map(({ index: own, factor }) => ({
    index: own === null ? index : index.map((place) => own[place]!),
    factor: typeof factor === "number" ? factor : Float64Array.from(index, (place) => factor[place]!),
  }));
  return simplified({ ...value, shape, terms });
}

/** Of ids, stored tensors and rows only the dimensions of 1 can be others. */
export function reshapedOnly<V extends Ids | Stored | Rows>(value: V, { shape, index }: Picked): V | null {
  const isSame = index === null || index.every((place, i) => place === i);
  return isSame && elementsOf(shape) === elementsOf(value.shape) ? { ...value, shape } : null;
}

/** Joins values along an axis. Parts without elements, such as an empty cache, count for nothing. */
export function concatenated(parts: readonly (Data | Symbolic)[], axis: number): Data | Symbolic {
  const full = parts.filter(({ shape }) => elementsOf(shape) > 0);
  if (full.length === 1) return full[0]!;
  const first = full[0] ?? parts[0]!;
  const shape = first.shape.map((length, other) =>
    other === axis ? full.reduce((sum, part) => sum + part.shape[axis]!, 0) : length,
  );
  requireFew(shape);
  const strides = stridesOf(shape);
  let from = 0;
  const places = full.map((part) => {
    const { index } = pick(part.shape.map((length, other) => steps(length, strides[other]!)));
    const start = from * strides[axis]!;
    from += part.shape[axis]!;
    return index!.map((place) => place + start);
  });
  const elements = elementsOf(shape);
  if (full.every((part) => part.kind === "data")) {
    const values = new Float64Array(elements);
    for (const [i, part] of full.entries())
      for (const [j, value] of part.values.entries()) values[places[i]![j]!] = value;
    return { kind: "data", shape, values, whole: full.every(({ whole }) => whole) };
  }
  const symbols = full.map((part) => {
    if (part.kind === "symbol" && part.fn === null && first.kind === "symbol" && part.base === first.base)
      return part;
    throw new Unmatched("joins values that gsic does not keep together");
  });
  const terms = Array.from({ length: Math.max(...symbols.map(({ terms }) => terms.length)) }, (_, term) => {
    const [index, factor] = [new Int32Array(elements), new Float64Array(elements)];
    for (const [i, part] of symbols.entries()) {
      const own = part.terms[term];
      if (own === undefined) continue;
      for (const [j, place] of places[i]!.entries()) {
        index[place] = own.index === null ? j : own.index[j]!;
        factor[place] = typeof own.factor === "number" ? own.factor : own.factor[j]!;
      }
    }
    return { index, factor };
  });
  return simplified({ ...symbols[0]!, shape, terms });
}

/** The same value, with terms that say no more than they must. */
export function simplified(value: Symbolic): Symbolic {
  const terms = value.terms.map(({ index, factor }): Term => {
    const one = typeof factor === "number" || factor.some((own) => own !== factor[0]) ? factor : factor[0]!;
    return { index: index?.every((place, i) => place === i) ? null : index, factor: one };
  });
  const some = terms.filter(({ factor }) => factor !== 0);
  return { ...value, terms: some.length === 0 ? terms.slice(0, 1) : some };
}
