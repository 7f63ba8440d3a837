import { type Call, numbersOf } from "./call.js";
import {
  concatenated,
  expanded,
  gathered,
  type Picked,
  pickData,
  pickSymbol,
  reshapedOnly,
  sliced,
  stridesOf,
  tiled,
  transposed,
} from "./layout.js";
import { type Data, data, elementsOf, type Symbolic, symbol, Unmatched, type Value } from "./value.js";

/** Computes the outputs of a node; throws `Unmatched` where gsic cannot. */
export type Handler = (call: Call) => Value | readonly Value[];

/** A value whose elements are another's, elsewhere. */
function moved(value: Value, picked: Picked): Value {
  switch (value.kind) {
    case "data":
      return pickData(value, picked);
    case "symbol":
      return pickSymbol(value, picked);
    case "ids": {
      const ids = reshapedOnly(value, picked);
      if (ids === null) throw new Unmatched("reads the token ids in another order");
      return ids;
    }
    case "stored":
    case "rows":
      return reshapedOnly(value, picked) ?? pickData(numbersOf(value), picked);
    case "stat":
    case "scores": {
      const isSame = picked.index === null && elementsOf(picked.shape) === elementsOf(value.shape);
      const ends = (shape: readonly number[]) => shape.slice(-2).join();
      if (isSame && (value.kind === "stat" || ends(picked.shape) === ends(value.shape)))
        return { ...value, shape: picked.shape };
      throw new Unmatched(value.kind === "stat" ? "moves means of vectors" : "moves the scores of attention");
    }
    case "unknown":
      throw new Unmatched("moves an unknown value");
    default:
      return value satisfies never;
  }
}

function reshape(call: Call): Value {
  const value = call.input(0);
  const wanted = call.list(1, "shape") ?? [];
  const copies = call.number("allowzero", 0) === 0;
  const sizes = wanted.map((size, axis) => (size === 0 && copies ? (value.shape[axis] ?? 0) : size));
  const known = elementsOf(sizes.filter((size) => size !== -1));
  const shape = sizes.map((size) => (size === -1 ? elementsOf(value.shape) / known : size));
  if (elementsOf(shape) !== elementsOf(value.shape) || shape.some((size) => !Number.isInteger(size)))
    throw new Unmatched(`makes [${wanted}] of [${value.shape}]`);
  return moved(value, { shape, index: null });
}

function transpose(call: Call): Value {
  const value = call.input(0);
  const rank = value.shape.length;
  const order = call.list(1, "perm") ?? value.shape.map((_, axis) => rank - 1 - axis);
  if (value.kind === "stored" && rank === 2 && order.join() === "1,0")
    return { ...value, shape: [value.shape[1]!, value.shape[0]!], transposed: !value.transposed };
  return moved(value, transposed(value.shape, order));
}

function slice(call: Call): Value {
  const value = call.input(0);
  const [starts, ends] = [call.list(1, "starts") ?? [], call.list(2, "ends") ?? []];
  const axes = call.list(3, "axes") ?? starts.map((_, axis) => axis);
  const steps = call.has(4) ? [...call.numbers(4).values] : starts.map(() => 1);
  const cuts = new Map(
    axes.map((given, i) => {
      const axis = call.axis(given, value.shape.length);
      const [length, by] = [value.shape[axis]!, steps[i]!];
      if (by < 1) throw new Unmatched("takes elements backwards");
      const place = (at: number) => Math.min(length, Math.max(0, at < 0 ? at + length : at));
      const [first, end] = [place(starts[i]!), place(ends[i]!)];
      return [axis, { first, count: Math.max(0, Math.ceil((end - first) / by)), by }] as const;
    }),
  );
  const isWhole = [...cuts].every(([axis, { count }]) => count === value.shape[axis]);
  return isWhole ? value : moved(value, sliced(value.shape, cuts));
}

function split(call: Call): readonly Value[] {
  const value = call.input(0);
  const axis = call.axis(call.number("axis", 0), value.shape.length);
  const count = call.node.outputs.length;
  const length = value.shape[axis]!;
  const each = Math.ceil(length / count);
  const sizes =
    call.list(1, "split") ?? Array.from({ length: count }, (_, i) => Math.min(each, length - i * each));
  if (sizes.length !== count || sizes.reduce((sum, size) => sum + size, 0) !== length)
    throw new Unmatched(`splits ${length} into [${sizes}]`);
  let first = 0;
  return sizes.map((size) => {
    const cut = { first, count: size, by: 1 };
    first += size;
    return moved(value, sliced(value.shape, new Map([[axis, cut]])));
  });
}

function squeeze(call: Call): Value {
  const value = call.input(0);
  const axes = call.list(1, "axes")?.map((axis) => call.axis(axis, value.shape.length));
  const gone = new Set(axes ?? value.shape.flatMap((length, axis) => (length === 1 ? [axis] : [])));
  const shape = value.shape.filter((_, axis) => !gone.has(axis));
  if (elementsOf(shape) !== elementsOf(value.shape))
    throw new Unmatched(`takes [${[...gone]}] from [${value.shape}]`);
  return moved(value, { shape, index: null });
}

function unsqueeze(call: Call): Value {
  const value = call.input(0);
  const axes = call.list(1, "axes") ?? [];
  const rank = value.shape.length + axes.length;
  const made = new Set(axes.map((axis) => call.axis(axis, rank)));
  const rest = [...value.shape];
  const shape = Array.from({ length: rank }, (_, axis) => (made.has(axis) ? 1 : rest.shift()!));
  return moved(value, { shape, index: null });
}

function concat(call: Call): Value {
  const values = call.inputs.filter((value): value is Value => value !== null);
  const parts = values.map((value): Data | Symbolic => (value.kind === "symbol" ? value : numbersOf(value)));
  const shape = parts[0]!.shape;
  const axis = call.axis(call.number("axis", 0), shape.length);
  const fits = parts.every(
    (part) =>
      part.shape.length === shape.length &&
      part.shape.every((length, other) => other === axis || length === shape[other]),
  );
  if (!fits) throw new Unmatched("joins values of shapes that do not fit");
  return concatenated(parts, axis);
}

/** Rows of a table by token ids or by positions, or elements by numbers. */
function gather(call: Call): Value {
  const [value, places] = [call.input(0), call.input(1)];
  const axis = call.axis(call.number("axis", 0), Math.max(1, value.shape.length));
  const isTable = value.kind === "stored" && value.shape.length === 2 && axis === 0 && !value.transposed;
  if (places.kind === "ids") {
    if (!isTable) throw new Unmatched("looks token ids up in what is no stored matrix");
    const [, width] = value.shape as [number, number];
    const table = { op: "embedding", index: "token", table: value, offset: 0, scale: 1 } as const;
    return symbol({ ...table, width }, [...places.shape, width]);
  }
  const numbers = numbersOf(places);
  if (isTable) {
    const isText = numbers.values.length === call.trace.bases.tokens;
    if (isText) call.trace.positions.push(value.shape[0]!);
    return { kind: "rows", table: value, places: numbers, shape: [...numbers.shape, value.shape[1]!] };
  }
  return moved(value, gathered(value.shape, axis, numbers));
}

/** Elements of numbers by places along an axis, one for each element of the result. */
function gatherElements(call: Call): Value {
  const [value, places] = [call.numbers(0), call.numbers(1)];
  const axis = call.axis(call.number("axis", 0), value.shape.length);
  const [own, made] = [stridesOf(value.shape), stridesOf(places.shape)];
  const index = Int32Array.from(places.values, (given, place) => {
    const at = given < 0 ? given + value.shape[axis]! : given;
    return own.reduce((sum, stride, other) => {
      const coordinate = other === axis ? at : Math.floor(place / made[other]!) % places.shape[other]!;
      return sum + coordinate * stride;
    }, 0);
  });
  return moved(value, { shape: places.shape, index });
}

/** Elements, or parts, of numbers by their coordinates. */
function gatherNd(call: Call): Value {
  if (call.number("batch_dims", 0) !== 0) throw new Unmatched("takes coordinates within batches");
  const [value, places] = [call.numbers(0), call.numbers(1)];
  const depth = places.shape.at(-1)!;
  const [head, tail] = [value.shape.slice(0, depth), value.shape.slice(depth)];
  const rows = Float64Array.from({ length: elementsOf(places.shape.slice(0, -1)) }, (_, row) =>
    head.reduce((sum, length, axis) => {
      const at = places.values[row * depth + axis]!;
      return sum * length + (at < 0 ? at + length : at);
    }, 0),
  );
  const flat = { ...value, shape: [elementsOf(head), ...tail] };
  return moved(flat, gathered(flat.shape, 0, data(places.shape.slice(0, -1), rows, true)));
}

/** Numbers with others put in at coordinates. */
function scatterNd(call: Call): Value {
  if (call.text("reduction", "none") !== "none") throw new Unmatched("adds up what it puts in");
  const [value, places, updates] = [call.numbers(0), call.numbers(1), call.numbers(2)];
  const depth = places.shape.at(-1)!;
  const own = stridesOf(value.shape);
  const length = elementsOf(value.shape.slice(depth));
  const values = value.values.slice();
  for (let row = 0; row < elementsOf(places.shape.slice(0, -1)); row++) {
    let start = 0;
    for (let axis = 0; axis < depth; axis++) {
      const at = places.values[row * depth + axis]!;
      start += (at < 0 ? at + value.shape[axis]! : at) * own[axis]!;
    }
    values.set(updates.values.subarray(row * length, (row + 1) * length), start);
  }
  return data(value.shape, values, value.whole);
}

function flatten(call: Call): Value {
  const value = call.input(0);
  const given = call.number("axis", 1);
  const axis = given < 0 ? given + value.shape.length : given;
  const shape = [elementsOf(value.shape.slice(0, axis)), elementsOf(value.shape.slice(axis))];
  return moved(value, { shape, index: null });
}

/** A type is what a file has; values are computed in f32 and kept exact here, but for whole numbers. */
function cast(call: Call): Value {
  const value = call.input(0);
  if (value.kind !== "data") return value;
  const to = call.number("to", 1);
  if ([1, 10, 11, 16].includes(to)) return data(value.shape, value.values, false);
  const convert = to === 9 ? (x: number) => Number(x !== 0) : Math.trunc;
  return data(value.shape, value.values.map(convert), true);
}

const same: Handler = (call) => call.input(0);

/** Operators that move elements. */
export const layoutHandlers: Readonly<Record<string, Handler>> = {
  Reshape: reshape,
  Transpose: transpose,
  Slice: slice,
  Split: split,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Concat: concat,
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  ScatterND: scatterNd,
  Flatten: flatten,
  Cast: cast,
  CastLike: same,
  Identity: same,
  Dropout: same,
  Expand: (call) => {
    const value = call.input(0);
    return moved(value, expanded(value.shape, call.list(1, "shape") ?? []));
  },
  Tile: (call) => {
    const value = call.input(0);
    const times = call.list(1, "repeats") ?? [];
    if (times.length !== value.shape.length) throw new Unmatched(`repeats [${value.shape}] [${times}] times`);
    return moved(value, tiled(value.shape, times));
  },
};
