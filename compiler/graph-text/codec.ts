/**
 * How values are written in a graph.ts and read from it: one description, a codec, for both. Here are codecs of single
 * values. `codec-fields.ts` puts them into tables of fields, `codec-objects.ts` makes objects and calls of such tables, and
 * `grammar-*.ts` are the tables themselves.
 */

import type { ValueId } from "../ir/graph.js";
import type { Field } from "./parse-fields.js";
import { graphError } from "./parse-syntax.js";
import { quote } from "./print-names.js";
import type { Value } from "./vocabulary.js";

/** What texts refer to, of the file that is being printed. */
export interface Printer {
  /** The constant that holds a value of the graph. */
  readonly constantOf: (id: ValueId) => string;
  /** The constant, called like `stem` and under the title, that holds an object of these properties. */
  readonly shared: (title: string, stem: string, properties: readonly string[]) => string;
}

/**
 * A value's text, and what is read back from it. `Above` is what a reader must know of what was read before. `Spelt` is the
 * type in vocabulary.ts; vocabulary.test.ts compares them. `parse` throws `graph-wrong-type`, and what its codec says.
 */
export interface Codec<in out T, in Above = unknown, out Spelt = T> {
  readonly print: (value: T, printer: Printer) => string;
  readonly parse: (field: Field, above: Above) => T;
  /** Of types alone: no codec has it. */
  readonly spelt?: Spelt;
}

/** A string, printed in double quotes. */
export const text: Codec<string> = { print: quote, parse: (field) => field.text() };

/** `true` or `false`. */
export const flag: Codec<boolean> = { print: String, parse: (field) => field.flag() };

/** A finite number, printed with an exponent where it is below 1e-3; `print` throws for one that is not finite. */
export const number: Codec<number> = { print: printNumber, parse: (field) => field.number() };

/** A number whose digits are grouped by threes where they are many. */
export const count: Codec<number> = { print: grouped, parse: (field) => field.number() };

/** An integer that is not below `least`. */
export function integer(least: number): Codec<number> {
  return { print: printNumber, parse: (field) => field.integer(least) };
}

/** An integer that is not below 1. */
export const positive: Codec<number> = integer(1);

/** One of these strings. */
export function choice<const T extends string>(choices: readonly T[]): Codec<T> {
  return { print: quote, parse: (field) => field.choice(choices) };
}

/** What numbers are allowed, and the error of others: `<name> = <number> <wrong>`. */
interface Range<Above = unknown> {
  /** Of the error, without `graph-`. */
  readonly code: string;
  readonly holds: (value: number, above: Above) => boolean;
  readonly wrong: (above: Above) => string;
  readonly hint: string;
}

/** A number of that range. */
export function within<Above>({ code, holds, wrong, hint }: Range<Above>): Codec<number, Above> {
  const parse = (field: Field, above: Above) => {
    const value = field.number();
    if (holds(value, above)) return value;
    throw graphError(code, `${field.name} = ${value} ${wrong(above)}`, field.place, hint);
  };
  return { print: printNumber, parse };
}

/** One of these numbers; another one's error has that code. */
export function oneOf<const N extends number>(code: string, choices: readonly N[]): Codec<N> {
  const { print, parse } = within({
    code,
    holds: (value) => choices.some((one) => one === value),
    wrong: () => "is not offered",
    hint: `give one of ${choices.join(", ")}`,
  });
  return { print, parse: (field, above) => parse(field, above) as N };
}

/** A list of any length. */
export function list<T>(item: Codec<T>): Codec<readonly T[]> {
  return {
    print: (values, printer) => `[${values.map((value) => item.print(value, printer)).join(", ")}]`,
    parse: (field) => field.list().map((one) => item.parse(one, {})),
  };
}

/** Two of a kind; `names` are what errors call them. */
export function pair<T>(item: Codec<T>, names: readonly [string, string]): Codec<readonly [T, T]> {
  return {
    print: list(item).print,
    parse: (field) => {
      const items = field.list();
      if (items.length !== 2) throw field.wrong(`[${names.join(", ")}]`);
      return [item.parse(items[0]!, {}), item.parse(items[1]!, {})];
    },
  };
}

/** A value of the graph that was defined above: what an operator reads. */
export const value: Codec<ValueId, unknown, Value> = {
  print: (id, printer) => printer.constantOf(id),
  parse: (field) => field.id(),
};

/** A codec of what is kept in another shape than it is written in. */
export function mapped<T, W, Above, Spelt>(
  written: Codec<W, Above, Spelt>,
  toWritten: (value: T) => W,
  fromWritten: (written: W) => T,
): Codec<T, Above, Spelt> {
  return {
    print: (value, printer) => written.print(toWritten(value), printer),
    parse: (field, above) => fromWritten(written.parse(field, above)),
  };
}

function printNumber(value: number): string {
  if (!Number.isFinite(value)) throw new Error(`${value} has no literal`);
  return Math.abs(value) < 1e-3 && value !== 0 ? value.toExponential() : String(value);
}

/** A number as `count` prints it. */
export function grouped(value: number): string {
  return printNumber(value).replace(/^\d{5,15}$/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, "_"));
}
