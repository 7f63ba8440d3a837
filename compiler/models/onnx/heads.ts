import { ropeFrequencies } from "../../layout/rope.js";
import { roundedNumber } from "./activation.js";
import type { Bases } from "./bases.js";
import { elementsOf, type Heads, type Rotation, type Symbolic, Unmatched } from "./value.js";

/** Angles and factors are f32 in files at worst, or were computed so. */
const tolerance = 2e-4;

/** Heads as attention reads them, and which of them each of its heads reads. */
export interface ReadHeads {
  readonly heads: Heads;
  /** Of each head of attention the head here. */
  readonly order: readonly number[];
  /** What all channels are multiplied by. */
  readonly factor: number;
}

/** The channels that make one channel: their places within the head, and factors. */
type Mix = ReadonlyMap<number, number>;

/**
 * What query, key or value [heads, tokens, headDim] are made of: a base's channels in order, and a rotation, which is
 * recognised by its numbers, however it was computed.
 */
export function readHeads(value: Symbolic, bases: Bases): ReadHeads {
  const { base, shape } = value;
  const headDim = shape.at(-1)!;
  const count = elementsOf(shape) / (bases.tokens * headDim);
  if (value.fn !== null) throw new Unmatched("attends to functions of channels");
  const mixes = mixesOf(value, count, headDim, bases.tokens);
  const starts = mixes.map((head) => head[0]![0]!.keys().next().value!);
  const first = Math.min(...starts);
  const order = starts.map((start) => (start - first) / headDim);
  const own = Math.max(...order) + 1;
  if (order.some((head) => !Number.isInteger(head))) throw new Unmatched("attends to heads that overlap");
  const factor = mixes[0]![0]![0]!.get(starts[0]!)!;
  const local = mixes.map((head, h) =>
    head.map((token) =>
      token.map((mix) => new Map([...mix].map(([at, by]) => [at - starts[h]!, by / factor]))),
    ),
  );
  if (local.some((head) => !isAlike(head, local[0]!)))
    throw new Unmatched("attends to heads that are rotated differently");
  const rotation = rotationOf(local[0]!, headDim);
  const part = bases.columns(base, first, own * headDim);
  return { heads: { base: part, count: own, headDim, rotation }, order, factor };
}

/** For each head, token and channel the channels of the base that are summed, of the same token. */
function mixesOf({ base, terms }: Symbolic, count: number, headDim: number, tokens: number): Mix[][][] {
  return Array.from({ length: count }, (_, h) =>
    Array.from({ length: tokens }, (_, token) =>
      Array.from({ length: headDim }, (_, channel) => {
        const place = (h * tokens + token) * headDim + channel;
        const mix = new Map<number, number>();
        for (const { index, factor } of terms) {
          const [at, by] = [
            index === null ? place : index[place]!,
            typeof factor === "number" ? factor : factor[place]!,
          ];
          if (by === 0) continue;
          if (Math.floor(at / base.width) !== token)
            throw new Unmatched("attends to channels of other tokens");
          mix.set(at % base.width, (mix.get(at % base.width) ?? 0) + by);
        }
        if (mix.size === 0) throw new Unmatched("attends to channels that are zero");
        return mix;
      }),
    ),
  );
}

function isAlike(left: readonly (readonly Mix[])[], right: readonly (readonly Mix[])[]): boolean {
  const near = (a: number, b: number | undefined) => b !== undefined && Math.abs(a - b) <= tolerance;
  return left.every((token, t) =>
    token.every((mix, c) => {
      const other = right[t]![c]!;
      return mix.size === other.size && [...mix].every(([at, by]) => near(by, other.get(at)));
    }),
  );
}

/** The rotation of one head, relative to its first token, which is not rotated; null: there is none. */
function rotationOf(tokens: readonly (readonly Mix[])[], headDim: number): Rotation | null {
  const isPlain = ([at, by]: readonly [number, number], channel: number) =>
    at === channel && Math.abs(by - 1) <= tolerance;
  const plain = (mix: Mix, channel: number) => mix.size === 1 && isPlain([...mix][0]!, channel);
  if (!tokens[0]!.every(plain))
    throw new Unmatched("attends to channels in another order, or rotates the first token");
  const rotated = tokens[1]!.filter((mix) => mix.size > 1).length;
  if (rotated === 0) {
    if (!tokens.every((token) => token.every(plain)))
      throw new Unmatched("multiplies channels by their positions");
    return null;
  }
  const partner = [...tokens[1]![0]!.keys()].find((at) => at !== 0);
  const pairing = partner === rotated / 2 ? "half" : partner === 1 ? "adjacent" : null;
  if (pairing === null || rotated % 2 !== 0)
    throw new Unmatched("mixes channels otherwise than rotations do");
  const pairs = Array.from({ length: rotated / 2 }, (_, pair): readonly [number, number] =>
    pairing === "half" ? [pair, pair + rotated / 2] : [2 * pair, 2 * pair + 1],
  );
  const angles = tokens.map((token) => pairs.map((pair) => angleOf(token, pair)));
  const frequencies = angles[1]!;
  for (const [token, own] of angles.entries())
    for (const [pair, angle] of own.entries()) {
      const away = angle - token * frequencies[pair]!;
      if (Math.abs(away - 2 * Math.PI * Math.round(away / (2 * Math.PI))) > tolerance * Math.max(1, token))
        throw new Unmatched("rotates by angles that do not grow with the position");
    }
  if (tokens.some((token) => !token.slice(rotated).every((mix, i) => plain(mix, rotated + i))))
    throw new Unmatched("rotates some channels and multiplies others");
  return { rotaryDim: rotated, pairing, ...frequenciesAs(frequencies, rotated, headDim) };
}

/** The angle by which a pair of channels is rotated. */
function angleOf(token: readonly Mix[], [first, second]: readonly [number, number]): number {
  const [a, b] = [token[first]!, token[second]!];
  const [cos, sin] = [a.get(first) ?? 0, -(a.get(second) ?? 0)];
  const isRotation =
    [...a.keys(), ...b.keys()].every((at) => at === first || at === second) &&
    Math.abs((b.get(second) ?? 0) - cos) <= tolerance &&
    Math.abs((b.get(first) ?? 0) - sin) <= tolerance &&
    Math.abs(Math.hypot(cos, sin) - 1) <= tolerance;
  if (!isRotation) throw new Unmatched("mixes channels otherwise than rotations do");
  return Math.atan2(sin, cos);
}

/** How frequencies, radians a position, are said: by theta alone where they follow from one, else by divisors. */
export function frequenciesAs(
  frequencies: readonly number[],
  rotaryDim: number,
  headDim: number,
  error = 3e-7,
): Pick<Rotation, "theta" | "scaling"> {
  const theta = thetaOf(frequencies, error);
  const plain = ropeFrequencies({
    ...{ kind: "rope", id: "", layer: null, input: "", heads: 1, headDim, rotaryDim, pairing: "half", theta },
    scaling: { kind: "none" },
  });
  const divisors = frequencies.map((frequency, pair) => plain[pair]! / frequency);
  const factor = roundedNumber(divisors[0]!, 1e-5);
  const isOne = frequencies.every((frequency, pair) => {
    const away = Math.abs(frequency - plain[pair]! / factor);
    return away <= error || away <= 1e-5 * frequency;
  });
  if (!isOne) return { theta, scaling: { kind: "divisors", divisors } };
  return { theta, scaling: factor === 1 ? { kind: "none" } : { kind: "linear", factor } };
}

/** The base of frequencies theta^(-i / pairs), each known to `error`: from the pair that says it most exactly. */
function thetaOf(frequencies: readonly number[], error: number): number {
  const pairs = frequencies.length;
  if (pairs === 1) return 10000;
  const blur = (pair: number) => pairs / (pair * frequencies[pair]!);
  const others = frequencies.map((_, pair) => pair).slice(1);
  const best = others.reduce((one, pair) => (blur(pair) < blur(one) ? pair : one), 1);
  const theta = (frequencies[best]! / frequencies[0]!) ** (-pairs / best);
  return roundedNumber(theta, Math.max(1e-6, Math.min(2e-3, 2 * error * blur(best))));
}

/** Whether a rotation is the same as another, but for rounding where frequencies were computed twice. */
export function sameRotation(left: Rotation | null, right: Rotation | null): boolean {
  if (left === null || right === null) return left === right;
  const frequencies = ({ theta, scaling }: Rotation) => [
    theta,
    ...(scaling.kind === "divisors" ? scaling.divisors : []),
  ];
  const [a, b] = [frequencies(left), frequencies(right)];
  const shape = ({ rotaryDim, pairing, scaling }: Rotation) => `${rotaryDim} ${pairing} ${scaling.kind}`;
  return shape(left) === shape(right) && a.every((x, i) => Math.abs(x - b[i]!) <= 1e-4 * Math.abs(x));
}
