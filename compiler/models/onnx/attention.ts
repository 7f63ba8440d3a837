import { type Bases, factorOf } from "./bases.js";
import { type ReadHeads, readHeads, sameRotation } from "./heads.js";
import { broadcast, expanded, pickData, pickSymbol, simplified, transposed } from "./layout.js";
import {
  type Base,
  type Data,
  elementsOf,
  type MaskSource,
  type Scores,
  type Symbolic,
  Unmatched,
} from "./value.js";

/** Scores [..., tokens, tokens] of queries [..., tokens, headDim] and keys [..., headDim, tokens]. */
export function scoresOf(query: Symbolic, turnedKey: Symbolic): Scores {
  const order = turnedKey.shape.map((_, axis) => axis);
  const last = order.length - 1;
  if (last < 1 || query.shape.length < 2) throw new Unmatched("multiplies vectors");
  [order[last], order[last - 1]] = [last - 1, last];
  const key = pickSymbol(turnedKey, transposed(turnedKey.shape, order));
  const lead = broadcast(query.shape.slice(0, -2), key.shape.slice(0, -2));
  const [tokens, keys] = [query.shape.at(-2)!, key.shape.at(-2)!];
  if (query.shape.at(-1) !== key.shape.at(-1))
    throw new Unmatched(`multiplies [${query.shape}] by [${turnedKey.shape}]`);
  const wide = (value: Symbolic) =>
    pickSymbol(value, expanded(value.shape, [...lead, ...value.shape.slice(-2)]));
  const shape = [...lead, tokens, keys];
  return {
    ...{ kind: "scores", shape, query: wide(query), key: wide(key), scale: 1 },
    ...{ mask: null, masks: [], normal: false },
  };
}

/** Scores times or divided by a number, or with numbers added: a mask. `from` is the name of the value with the numbers. */
export function withScores(op: string, scores: Scores, numbers: Data, isLeft: boolean, from: string): Scores {
  const [number] = numbers.values;
  const isNumber = numbers.values.length === 1;
  if (isNumber && op === "Mul") return scaled(scores, number!);
  if (isNumber && op === "Div" && !isLeft) return scaled(scores, 1 / number!);
  if (op !== "Add" || scores.normal) throw new Unmatched("changes the scores of attention");
  const { values } = pickData(numbers, expanded(numbers.shape, scores.shape));
  if (values.length !== elementsOf(scores.shape))
    throw new Unmatched("adds numbers of another shape to scores");
  return masked(scores, values, { name: from, counts: null });
}

function scaled(scores: Scores, by: number): Scores {
  if (scores.normal && by !== 1) throw new Unmatched("multiplies the probabilities of attention");
  const mask = scores.mask?.map((x) => x * by);
  return { ...scores, scale: scores.scale * by, mask: mask ?? null };
}

function masked(scores: Scores, values: Float64Array, from: MaskSource): Scores {
  const { mask } = scores;
  const sum = mask === null ? values : values.map((x, i) => x + mask[i]!);
  return { ...scores, mask: sum, masks: [...scores.masks, from] };
}

/** Scores where a condition holds, or does not, and one number elsewhere. */
export function chosenScores(
  condition: Data,
  scores: Scores,
  other: Data,
  holds: boolean,
  from: string,
): Scores {
  const { values } = pickData(condition, expanded(condition.shape, scores.shape));
  const blocked = values.map((x) => Number((x !== 0) !== holds));
  if (blocked.every((x) => x === 0)) return scores;
  if (scores.normal) throw new Unmatched("changes the probabilities of attention");
  if (other.values.some((x) => x > blockedBelow)) throw new Unmatched(`sets scores to ${other.values[0]}`);
  const mask = blocked.map((x) => (x === 0 ? 0 : Number.NEGATIVE_INFINITY));
  return masked(scores, mask, { name: from, counts: holds });
}

/** What is added to a score that is not to count is below this; halves reach -65504. */
const blockedBelow = -1e4;

/** Which keys a query sees, of a mask that is nothing else: 1 or 0 for each query and key. Throws where it is more. */
export function seenOf(mask: Float64Array, tokens: number): Uint8Array {
  const matrix = tokens * tokens;
  const seen = Uint8Array.from(mask.subarray(0, matrix), (x) => Number(!(x <= blockedBelow)));
  for (const [place, x] of mask.entries()) {
    const isBlocked = x <= blockedBelow;
    if (isBlocked === (seen[place % matrix] === 1) || (!isBlocked && x !== 0))
      throw new Unmatched(
        isBlocked ? "has heads with masks of their own" : `adds ${x} to scores: only masks can be added`,
      );
  }
  return seen;
}

/** Whether each query sees itself and the keys before it, `window` of them at most. */
export function isCausal(seen: Uint8Array, tokens: number, window = tokens): boolean {
  return seen.every((x, place) => {
    const [query, key] = [Math.floor(place / tokens), place % tokens];
    return (x === 1) === (key <= query && key > query - window);
  });
}

/** What attention computes [..., tokens, headDim], from probabilities and values; `window` as masks have it. */
export function attended(scores: Scores, value: Symbolic, bases: Bases, window: number | null): Symbolic {
  const { tokens } = bases;
  if (!scores.normal) throw new Unmatched("multiplies values by scores that no softmax made probabilities");
  if (scores.shape.at(-1) !== tokens || scores.shape.at(-2) !== tokens || factorOf(value) === null)
    throw new Unmatched("attends to other positions than those of the text");
  const lead = scores.shape.slice(0, -2);
  const wide = pickSymbol(value, expanded(value.shape, [...lead, ...value.shape.slice(-2)]));
  const [query, key, own] = [scores.query, scores.key, wide].map((one) => readHeads(one, bases)) as [
    ReadHeads,
    ReadHeads,
    ReadHeads,
  ];
  requireHeads(query, key, own);
  const { count, headDim } = query.heads;
  if (!sameRotation(query.heads.rotation, key.heads.rotation))
    throw new Unmatched("rotates query and key differently");
  const rotatedKey = { ...key.heads, rotation: query.heads.rotation };
  const scale = scaleOf(scores.scale * query.factor * key.factor, headDim);
  const base: Base = {
    ...{ op: "attention", width: count * headDim, query: query.heads, key: rotatedKey, value: own.heads },
    ...{ scale, window },
  };
  const shape = [...lead, tokens, headDim];
  const index = Int32Array.from({ length: elementsOf(shape) }, (_, place) => {
    const [row, channel] = [Math.floor(place / headDim), place % headDim];
    return (row % tokens) * base.width + Math.floor(row / tokens) * headDim + channel;
  });
  return simplified({ kind: "symbol", shape, base, terms: [{ index, factor: own.factor }], fn: null });
}

function requireHeads({ heads, order }: ReadHeads, key: ReadHeads, value: ReadHeads): void {
  const group = heads.count / key.heads.count;
  const isGrouped = (own: ReadHeads) => own.order.every((head, h) => head === Math.floor(h / group));
  const fits = value.heads.count === key.heads.count && value.heads.headDim === heads.headDim;
  if (
    order.some((head, h) => head !== h) ||
    !Number.isInteger(group) ||
    !fits ||
    !isGrouped(key) ||
    !isGrouped(value)
  )
    throw new Unmatched(
      `shares ${key.heads.count} heads of keys and ${value.heads.count} of values among ${heads.count} otherwise than in groups`,
    );
  if (value.heads.rotation !== null) throw new Unmatched("rotates values");
}

/** 1 / sqrt(headDim), or 1 / sqrt of another whole number, where it is that but for rounding. */
function scaleOf(scale: number, headDim: number): number {
  const usual = 1 / Math.sqrt(headDim);
  if (Math.abs(scale - usual) <= 1e-3 * usual) return usual;
  const square = Math.round(1 / scale ** 2);
  return Math.abs(scale * Math.sqrt(square) - 1) <= 1e-6 ? 1 / Math.sqrt(square) : scale;
}
