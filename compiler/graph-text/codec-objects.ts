/** Codecs of objects and of calls, made from tables of fields. */

import type { Codec, Printer } from "./codec.js";
import {
  type FieldCodecs,
  parseProperties,
  printProperties,
  propertyNames,
  type Shape,
  shapeOf,
} from "./codec-fields.js";
import { Call, type CallExpression, type Scope } from "./parse-fields.js";
import { quote } from "./print-names.js";

/** A codec of an object, which also gives the texts of its properties. */
interface ObjectCodec<in out T, in Above = unknown> extends Codec<T, Above> {
  readonly properties: (value: T, printer: Printer) => string[];
}

/** An object with these properties. */
export function object<T, Context = unknown>(fields: FieldCodecs<T, Context>): ObjectCodec<T, Context> {
  return {
    ...printsAs<T>((value, printer) => printProperties(fields, value, printer)),
    parse: (field, context) => parseProperties(fields, field.fields(propertyNames(fields)), context),
  };
}

/** One of several objects, which their property `kind` tells apart. */
export function variants<T extends { readonly kind: string }>(
  table: {
    readonly [K in T["kind"]]: FieldCodecs<Omit<Extract<T, { readonly kind: K }>, "kind">>;
  },
): ObjectCodec<T> {
  const kinds = Object.keys(table) as T["kind"][];
  const fieldsOf = (kind: T["kind"]) =>
    table[kind] as FieldCodecs<unknown> as FieldCodecs<Readonly<Record<string, unknown>>>;
  const known = ["kind", ...new Set(kinds.flatMap((kind) => propertyNames(fieldsOf(kind))))];
  return {
    ...printsAs<T>((value, printer) => [
      `kind: ${quote(value.kind)}`,
      ...printProperties(fieldsOf(value.kind), value, printer),
    ]),
    parse: (field) => {
      const kind = field.fields(known).get("kind").choice(kinds);
      const fields = fieldsOf(kind);
      const options = field.fields(["kind", ...propertyNames(fields)]);
      return { kind, ...parseProperties(fields, options, {}) } as T;
    },
  };
}

/** An object that stands once, as a constant above the nodes: where it is long, and the same in many places. */
export function shared<T>(title: string, stem: string, codec: ObjectCodec<T>): Codec<T> {
  return {
    print: (value, printer) => printer.shared(title, stem, codec.properties(value, printer)),
    parse: codec.parse,
  };
}

function printsAs<T>(properties: ObjectCodec<T>["properties"]): Pick<ObjectCodec<T>, "print" | "properties"> {
  return { properties, print: (value, printer) => `{ ${properties(value, printer).join(", ")} }` };
}

// ----------------------------------------------------------------------------------------------------- calls

/** A call before it is laid out: positional arguments, then an object of these properties, then more arguments. */
export interface CallText {
  readonly function: string;
  readonly first: readonly string[];
  readonly properties: readonly string[];
  readonly last: readonly string[];
}

/** What a call says, and access to its arguments for who asks for a place. */
interface Read<T> {
  readonly value: T;
  readonly call: Call;
}

/** A call of `word` with these fields. */
export function call<T, Spelt, Context = unknown>(
  word: string,
  fields: FieldCodecs<T, Context>,
): Codec<T, Context, Spelt> {
  return {
    print: (value, printer) => onOneLine(printCall(word, fields, value, printer)),
    parse: (field, context) => parseCall(fields, field.scope, field.call(word), context).value,
  };
}

/** The call on one line; its object is left out where it would be empty. */
export function onOneLine({ function: word, first, properties, last }: CallText): string {
  const options = properties.length === 0 ? [] : [`{ ${properties.join(", ")} }`];
  return `${word}(${[...first, ...options, ...last].join(", ")})`;
}

/** The texts of a call's arguments and properties. */
export function printCall<T>(
  word: string,
  fields: FieldCodecs<T, never>,
  value: T,
  printer: Printer,
): CallText {
  const shape = shapeOf(fields);
  const texts = shape.arguments.map(([key, codec]) => codec.print(value[key as keyof T], printer));
  const at = gapOf(shape);
  const properties = printProperties(fields, value, printer);
  return { function: word, first: texts.slice(0, at), properties, last: texts.slice(at) };
}

/** Reads a call, whatever it is called. Throws `graph-arguments`, and what codecs throw. */
export function parseCall<T, Context>(
  fields: FieldCodecs<T, Context>,
  scope: Scope,
  expression: CallExpression,
  context: Context,
): Read<T> {
  const shape = shapeOf(fields);
  const at = gapOf(shape);
  const names = shape.arguments.map(([key, codec]) => codec.name ?? key);
  const trailing = at === names.length;
  const call = new Call(scope, expression, trailing ? names : names.toSpliced(at, 0, "options"), trailing);
  const keys = propertyNames(fields);
  const options = trailing ? call.options(keys) : call.argument("options").fields(keys);
  const read: Record<string, unknown> = { ...parseProperties<object, Context>(fields, options, context) };
  shape.arguments.forEach(([key, codec], index) => {
    read[key] = codec.parse(call.argument(names[index]!), { ...context, ...read });
  });
  for (const [key, { words }] of shape.said) read[key] = words[expression.function];
  const ordered = Object.keys(fields).flatMap((key) => (key in read ? [[key, read[key]] as const] : []));
  return { value: Object.fromEntries(ordered) as T, call };
}

/** Where among the arguments of a call its object of properties stands. */
function gapOf({ arguments: positional }: Shape): number {
  const gap = positional.findIndex(([, { position }], index) => position !== index);
  return gap === -1 ? positional.length : gap;
}
