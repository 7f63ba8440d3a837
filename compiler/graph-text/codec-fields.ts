/** The fields of an object or a call: a table of codecs, in the order of the text. */

import { isDeepStrictEqual } from "node:util";
import type { Codec, Printer } from "./codec.js";
import type { Fields } from "./parse-fields.js";

/** A positional argument of a call; other fields are properties of the one object that a call takes. */
export interface Argument<N extends number, T, Above, Spelt> extends Codec<T, Above, Spelt> {
  /** Which argument; the object of properties stands where the first gap is. */
  readonly position: N;
  /** What errors call it; null: as its field. */
  readonly name: string | null;
}

/** A property that may be left out. */
export interface Optional<T, Above, Spelt> extends Codec<T, Above, Spelt> {
  /** What it is then; where that is `undefined`, the field is missing. */
  readonly absent: (above: Above) => T;
  /** Whether it is printed all the same. */
  readonly always: boolean;
}

/** A field that is said by the word that is called. */
export interface SaidByWord<T, Word extends string> {
  readonly words: Readonly<Record<Word, T>>;
}

/** How one field is said: as a property, an argument or the word that is called. */
type FieldCodec<T, Above> =
  | Codec<T, Above, unknown>
  | Argument<number, T, Above, unknown>
  | Optional<T, Above, unknown>
  | SaidByWord<T, string>;

/**
 * A codec for every field of T, in the order of the text. Properties are read first, in that order, then arguments; a
 * reader knows of `Context` and of the fields that were read before its own.
 */
export type FieldCodecs<T, Context = unknown> = {
  readonly [F in keyof T]-?: FieldCodec<T[F], Context & T>;
};

/** An argument of a call, counted from 0. */
export function argument<N extends number, T, Above, Spelt>(
  position: N,
  codec: Codec<T, Above, Spelt>,
  name: string | null = null,
): Argument<N, T, Above, Spelt> {
  return { ...codec, position, name };
}

/** A property that is left out where it is `absent`. */
export function optional<T, Above, Spelt, const A>(
  codec: Codec<T, Above, Spelt>,
  absent: A,
): Optional<T | A, Above, Spelt> {
  // Where it is absent it is not printed, so that what is printed is a T.
  const print = codec.print as Codec<T | A>["print"];
  return { print, parse: codec.parse, absent: () => absent, always: false };
}

/** A property that is left out where it follows from what is read before it. */
export function derived<T, Above, Spelt>(
  codec: Codec<T, unknown, Spelt>,
  absent: (above: Above) => T,
): Optional<T, Above, Spelt> {
  return { ...codec, absent, always: false };
}

/** A property that a person may leave out, but that is always printed. */
export function spelledOut<T, Above, Spelt>(
  codec: Codec<T, Above, Spelt>,
  absent: NoInfer<T>,
): Optional<T, Above, Spelt> {
  return { ...codec, absent: () => absent, always: true };
}

/** A field that is said by the word that is called: its value for each word. */
export function saidBy<const T, Word extends string>(words: Readonly<Record<Word, T>>): SaidByWord<T, Word> {
  return { words };
}

// ------------------------------------------------------------------------------------- a table's properties

type Entry<C> = readonly [key: string, codec: C];

/** A table's fields by how they are said; each in the order of the text. */
export interface Shape {
  readonly arguments: readonly Entry<Argument<number, unknown, unknown, unknown>>[];
  readonly properties: readonly Entry<Codec<unknown> | Optional<unknown, unknown, unknown>>[];
  readonly said: readonly Entry<SaidByWord<unknown, string>>[];
}

/** Sorts the fields of a table by how they are said; arguments also by position. */
export function shapeOf<T>(fields: FieldCodecs<T, never>): Shape {
  // What a table is keyed by, its codecs are of: only the type of the whole knows.
  const entries = Object.entries(fields) as unknown as readonly Entry<FieldCodec<unknown, unknown>>[];
  const found = { arguments: [], properties: [], said: [] } as { [S in keyof Shape]: Shape[S][number][] };
  for (const [key, codec] of entries) {
    if ("words" in codec) found.said.push([key, codec]);
    else if ("position" in codec) found.arguments.push([key, codec]);
    else found.properties.push([key, codec]);
  }
  found.arguments.sort(([, a], [, b]) => a.position - b.position);
  return found;
}

/** The names of a table's properties. */
export function propertyNames<T>(fields: FieldCodecs<T, never>): string[] {
  return shapeOf(fields).properties.map(([key]) => key);
}

/** The words that a call with these fields may be called by: its own, where none of them is said by the word. */
export function wordsFor<T>(fields: FieldCodecs<T, never>, word: string): string[] {
  const [said] = shapeOf(fields).said;
  return said === undefined ? [word] : Object.keys(said[1].words);
}

/** The one of these words that says what `value` is. */
export function wordOf<T>(fields: FieldCodecs<T, never>, word: string, value: T): string {
  const [said] = shapeOf(fields).said;
  if (said === undefined) return word;
  const [key, { words }] = said;
  return Object.keys(words).find((one) => words[one] === value[key as keyof T])!;
}

/** The texts `name: value` of the properties that are not left out. */
export function printProperties<T>(fields: FieldCodecs<T, never>, value: T, printer: Printer): string[] {
  return shapeOf(fields).properties.flatMap(([key, codec]) => {
    const property: unknown = value[key as keyof T];
    const omitted = "absent" in codec && !codec.always && same(property, codec.absent(value));
    return omitted ? [] : [`${key}: ${codec.print(property, printer)}`];
  });
}

/** What the properties say, with those that are left out. Throws what codecs throw, and `graph-missing-property`. */
export function parseProperties<T, Context>(
  fields: FieldCodecs<T, Context>,
  options: Fields,
  context: Context,
): T {
  const read: Record<string, unknown> = {};
  for (const [key, codec] of shapeOf(fields).properties) {
    const above = { ...context, ...read };
    const left = "absent" in codec && !options.has(key);
    const property = left ? codec.absent(above) : codec.parse(options.get(key), above);
    if (property !== undefined) read[key] = property;
  }
  return read as T;
}

function same(a: unknown, b: unknown): boolean {
  return a === b || isDeepStrictEqual(a, b);
}
