import { closest } from "fastest-levenshtein";
import { blockSizes, type DType, type MatrixRef, type ValueId, type VectorRef } from "../ir/graph.js";
import type { GsicError } from "../support/errors.js";
import { type Expression, graphError, type Property } from "./parse-syntax.js";
import { quote } from "./print-names.js";

/** What a constant of the file stands for: a value of the graph, or an expression to put in its place. */
export type Binding =
  | { readonly kind: "value"; readonly id: ValueId }
  | { readonly kind: "constant"; readonly value: Expression };

/** What names mean at some point of the file. */
export interface Scope {
  readonly bindings: ReadonlyMap<string, Binding>;
  /** Constants of the whole file, to tell a late definition from a missing one. */
  readonly defined: ReadonlySet<string>;
}

/** Typed access to the positional arguments of one call, and to the object that may follow them. */
export class Call {
  readonly place: string;
  private readonly operands: readonly Expression[];
  private readonly name: string;

  /** `names` are those of the positional arguments; throws `graph-arguments` where their number is wrong. */
  constructor(
    readonly scope: Scope,
    call: Expression & { readonly kind: "call" },
    private readonly names: readonly string[],
    extra: number,
  ) {
    this.place = call.place;
    this.name = call.function;
    this.operands = call.arguments;
    const { length } = call.arguments;
    if (length < names.length || length > names.length + extra) {
      const place = call.arguments[names.length + extra]?.place ?? call.place;
      const wanted = [...names, ...(extra > 0 ? ["{ ... }"] : [])].join(", ");
      throw graphError(
        "arguments",
        `${length} arguments instead of ${this.name}(${wanted})`,
        place,
        "see gsic/graph",
      );
    }
  }

  argument(name: string): Field {
    const index = this.names.indexOf(name);
    return new Field(this.scope, `${name} of ${this.name}`, this.operands[index]!);
  }

  /** The object after the positional arguments; an empty one where it is left out. */
  options(keys: readonly string[]): Fields {
    const given = this.operands[this.names.length] ?? {
      place: this.place,
      kind: "record",
      properties: new Map(),
    };
    return new Fields(this.scope, this.name, given, keys);
  }
}

/** Typed access to the properties of one object. Throws `graph-unknown-property` for one that is not among `keys`. */
export class Fields {
  private readonly properties: ReadonlyMap<string, Property>;
  private readonly place: string;

  constructor(
    private readonly scope: Scope,
    private readonly owner: string,
    given: Expression,
    keys: readonly string[],
  ) {
    const record = resolve(scope, given);
    this.place = record.place;
    if (record.kind !== "record") throw wrongType(`the options of ${owner}`, "an object", record);
    this.properties = record.properties;
    for (const [key, { place }] of record.properties) {
      if (keys.includes(key)) continue;
      const hint = `did you mean ${nearest(key, keys)}? Known: ${keys.join(", ")}`;
      throw graphError("unknown-property", `${owner} has no property ${quote(key)}`, place, hint);
    }
  }

  has(key: string): boolean {
    return this.properties.has(key);
  }

  /** Throws `graph-missing-property`. */
  get(key: string): Field {
    const property = this.properties.get(key);
    if (property === undefined) {
      throw graphError("missing-property", `${this.owner} lacks ${key}`, this.place, `add \`${key}: ...\``);
    }
    return new Field(this.scope, `${key} of ${this.owner}`, property.value);
  }

  /** What `read` makes of a property; `fallback` where it is left out. */
  optional<T, F>(key: string, read: (field: Field) => T, fallback: F): T | F {
    return this.has(key) ? read(this.get(key)) : fallback;
  }
}

/** One argument or property; its readers throw `graph-wrong-type`. */
export class Field {
  private readonly given: Expression;
  private readonly value: Expression;

  constructor(
    private readonly scope: Scope,
    private readonly label: string,
    given: Expression,
  ) {
    this.given = given;
    this.value = resolve(scope, given);
  }

  get place(): string {
    return this.value.place;
  }

  get isLiteral(): boolean {
    return this.value.kind === "literal";
  }

  /** The function that the value calls; null where it is no call. */
  get called(): string | null {
    return this.value.kind === "call" ? this.value.function : null;
  }

  isName(name: string): boolean {
    return this.value.kind === "name" && this.value.name === name;
  }

  text(): string {
    const { value } = this;
    if (value.kind !== "literal" || typeof value.value !== "string") throw this.wrong("a string");
    return value.value;
  }

  number(): number {
    const { value } = this;
    if (value.kind !== "literal" || typeof value.value !== "number" || !Number.isFinite(value.value)) {
      throw this.wrong("a number");
    }
    return value.value;
  }

  /** An integer that is not below `least`. */
  integer(least = 1): number {
    const number = this.number();
    if (!Number.isSafeInteger(number) || number < least) {
      throw this.wrong(least === 1 ? "a positive integer" : `an integer of at least ${least}`);
    }
    return number;
  }

  flag(): boolean {
    const { value } = this;
    if (value.kind !== "literal" || typeof value.value !== "boolean") throw this.wrong("true or false");
    return value.value;
  }

  choice<T extends string>(choices: readonly T[]): T {
    const text = this.text();
    const known = choices.find((choice) => choice === text);
    if (known === undefined) throw this.wrong(`one of ${choices.map(quote).join(", ")}`);
    return known;
  }

  fields(keys: readonly string[]): Fields {
    return new Fields(this.scope, this.label, this.value, keys);
  }

  /** A value of the graph that was defined above. */
  id(): ValueId {
    const { given } = this;
    const binding = given.kind === "name" ? this.scope.bindings.get(given.name) : undefined;
    if (binding?.kind !== "value") throw this.wrong("a value of the graph");
    return binding.id;
  }

  matrix(): MatrixRef {
    const call = this.call("matrix", ["tensor", "dtype", "shape"]);
    const shape = call.argument("shape").list();
    if (shape.length !== 2) throw call.argument("shape").wrong("[out, d]");
    const options = call.options(["transposed", "first"]);
    return {
      tensor: call.argument("tensor").text(),
      dtype: call.argument("dtype").choice(Object.keys(blockSizes) as DType[]),
      out: shape[0]!.integer(),
      d: shape[1]!.integer(),
      transposed: options.optional("transposed", (field) => field.flag(), false),
      first: options.optional("first", (field) => field.integer(0), 0),
    };
  }

  vector(): VectorRef {
    const call = this.call("vector", ["tensor", "length"]);
    const options = call.options(["first", "plus"]);
    const plus = options.optional("plus", (field) => field.number(), null);
    return {
      tensor: call.argument("tensor").text(),
      length: call.argument("length").integer(),
      first: options.optional("first", (field) => field.integer(0), 0),
      ...(plus === null ? {} : { plus }),
    };
  }

  /** The error of a value that is not what is `expected`. */
  wrong(expected: string): GsicError {
    return wrongType(this.label, expected, this.value);
  }

  list(): readonly Field[] {
    if (this.value.kind !== "list") throw this.wrong("a list");
    return this.value.items.map((item) => new Field(this.scope, this.label, item));
  }

  /** Throws `graph-unknown-function` for a call of anything else. */
  call(name: string, names: readonly string[]): Call {
    const { value } = this;
    if (value.kind !== "call") throw this.wrong(`${name}(...)`);
    if (value.function !== name) throw unknownFunction(value, [name], `${this.label} is ${name}(...)`);
    return new Call(this.scope, value, names, 1);
  }
}

/** The error of a call of something that is not among `known`. */
export function unknownFunction(
  call: Expression & { kind: "call" },
  known: readonly string[],
  about: string,
): GsicError {
  const hint = `did you mean ${nearest(call.function, known)}? ${about}`;
  return graphError("unknown-function", `${call.function} cannot be called here`, call.place, hint);
}

function nearest(name: string, known: readonly string[]): string {
  return closest(name.slice(0, 200), [...known]);
}

/** Follows constants to what they stand for. Throws `graph-unknown-value` and `graph-use-before-definition`. */
export function resolve(scope: Scope, expression: Expression): Expression {
  if (expression.kind !== "name") return expression;
  const { name, place } = expression;
  const binding = scope.bindings.get(name);
  if (binding !== undefined) return binding.kind === "constant" ? resolve(scope, binding.value) : expression;
  if (scope.defined.has(name)) {
    throw graphError(
      "use-before-definition",
      `${name} is used before it is defined`,
      place,
      "move its definition up",
    );
  }
  if (name === "dense") return expression;
  const known = [...scope.defined];
  const hint = known.length === 0 ? "define it above" : `did you mean ${nearest(name, known)}?`;
  throw graphError("unknown-value", `there is no ${name}`, place, hint);
}

function wrongType(label: string, expected: string, found: Expression): GsicError {
  return graphError(
    "wrong-type",
    `${label} must be ${expected}, not ${describe(found)}`,
    found.place,
    "see gsic/graph",
  );
}

function describe(found: Expression): string {
  switch (found.kind) {
    case "literal":
      return typeof found.value === "string" ? quote(found.value) : String(found.value);
    case "name":
      return found.name;
    case "list":
      return "a list";
    case "record":
      return "an object";
    case "call":
      return `${found.function}(...)`;
    default:
      return found satisfies never;
  }
}
