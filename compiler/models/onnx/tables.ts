import { ropeFrequencies } from "../../layout/rope.js";
import type { Bases } from "./bases.js";
import type { Call } from "./call.js";
import { frequenciesAs } from "./heads.js";
import { gathered, pickSymbol } from "./layout.js";
import { pairSymbols, withNumbers } from "./symbols.js";
import { type Data, data, type Symbolic, Unmatched } from "./value.js";

/** Cosines and sines [positions, pairs] of one rotation, as files store them. */
interface AngleTables {
  readonly cos: Data;
  readonly sin: Data;
  /** How much an angle of theirs may be wrong, in radians. */
  readonly error: number;
}

/** A table's angles may be wrong by so much, for the type that it is stored in. */
const errors: Readonly<Record<string, number>> = { f16: 1e-3, bf16: 8e-3 };

/** Tables that are inputs of a node. */
export function angleTables(call: Call, cos: number, sin: number): AngleTables {
  const table = call.input(cos);
  const error = (table.kind === "stored" && errors[table.tensor.element ?? ""]) || 3e-7;
  return { cos: call.numbers(cos), sin: call.numbers(sin), error };
}

/**
 * Radians a position of each pair. Tables are rounded, in halves to 5e-4: an angle at twice the position halves what that
 * makes of its frequency, and so on to the table's end.
 */
function frequenciesOf({ cos, sin, error }: AngleTables): {
  readonly frequencies: readonly number[];
  readonly error: number;
} {
  const [rows, pairs] = cos.shape as [number, number];
  if (cos.shape.length !== 2 || sin.shape.join() !== cos.shape.join() || rows < 3)
    throw new Unmatched(`has tables of angles [${cos.shape}] and [${sin.shape}]`);
  const angle = (row: number, pair: number) =>
    Math.atan2(sin.values[row * pairs + pair]!, cos.values[row * pairs + pair]!);
  let last = 1;
  while (last * 2 < rows) last *= 2;
  const frequencies = Array.from({ length: pairs }, (_, pair) => {
    let frequency = angle(1, pair);
    for (let row = 2; row <= last; row *= 2) {
      const turns = Math.round((frequency * row - angle(row, pair)) / (2 * Math.PI));
      frequency = (angle(row, pair) + 2 * Math.PI * turns) / row;
    }
    return frequency;
  });
  return { frequencies, error: error / last };
}

/** The first rows of tables of angles, as they were before they were rounded. */
export function exactRows(tables: AngleTables, tokens: number): Omit<AngleTables, "error"> {
  const { frequencies, error } = frequenciesOf(tables);
  const pairs = frequencies.length;
  const said = frequenciesAs(frequencies, 2 * pairs, 2 * pairs, error);
  const rope = {
    kind: "rope",
    id: "",
    layer: null,
    input: "",
    heads: 1,
    headDim: 2 * pairs,
    pairing: "half",
  } as const;
  const exact = ropeFrequencies({ ...rope, rotaryDim: 2 * pairs, ...said });
  const factor = Math.hypot(tables.cos.values[0]!, tables.sin.values[0]!);
  const rows = (of: (angle: number) => number) =>
    data(
      [tokens, pairs],
      Float64Array.from(
        { length: tokens * pairs },
        (_, place) => factor * of(Math.floor(place / pairs) * exact[place % pairs]!),
      ),
      false,
    );
  return { cos: rows(Math.cos), sin: rows(Math.sin) };
}

/** Heads [1, heads, tokens, headDim] with their first channels rotated by the angles of rows [tokens, pairs]. */
export function rotated(
  value: Symbolic,
  { cos, sin }: Omit<AngleTables, "error">,
  adjacent: boolean,
  bases: Bases,
): Symbolic {
  const headDim = value.shape.at(-1)!;
  const [tokens, pairs] = cos.shape as [number, number];
  if (2 * pairs > headDim) throw new Unmatched(`rotates ${2 * pairs} channels of ${headDim}`);
  const channels = Array.from({ length: headDim }, (_, channel) => {
    if (channel >= 2 * pairs) return { pair: null, partner: channel, sign: 0 };
    const first = adjacent ? channel % 2 === 0 : channel < pairs;
    const step = adjacent ? 1 : pairs;
    const pair = adjacent ? Math.floor(channel / 2) : channel % pairs;
    return { pair, partner: first ? channel + step : channel - step, sign: first ? -1 : 1 };
  });
  const table = (of: (pair: number, sign: number, token: number) => number, rest: number) =>
    data(
      [tokens, headDim],
      Float64Array.from({ length: tokens * headDim }, (_, place) => {
        const { pair, sign } = channels[place % headDim]!;
        return pair === null ? rest : of(pair, sign, Math.floor(place / headDim));
      }),
      false,
    );
  const cosines = table((pair, _, token) => cos.values[token * pairs + pair]!, 1);
  const sines = table((pair, sign, token) => sign * sin.values[token * pairs + pair]!, 0);
  const partners = data(
    [headDim],
    Float64Array.from(channels, ({ partner }) => partner),
    true,
  );
  const swapped = pickSymbol(value, gathered(value.shape, value.shape.length - 1, partners));
  return pairSymbols("Add", withNumbers("Mul", value, cosines), withNumbers("Mul", swapped, sines), bases);
}
