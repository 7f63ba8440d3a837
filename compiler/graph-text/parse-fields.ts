import { closest } from "fastest-levenshtein";
import type { ValueId } from "../ir/graph.js";
import type { GsicError } from "../support/errors.js";
import { type Expression, graphError, type Property } from "./parse-syntax.js";
import { quote } from "./print-names.js";
import { constants } from "./words.js";

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

/** The call of a function, as it is written. */
export type CallExpression = Expression & { readonly kind: "call" };

/** Typed access to the positional arguments of one call, and to the object that may follow them. */
export class Call {
  readonly place: string;
  private readonly operands: readonly Expression[];
  private readonly name: string;

  /**
   * `names` are those of the positional arguments, and `trailing` whether an object may follow them; throws
   * `graph-arguments` where their number is wrong.
   */
  constructor(
    readonly scope: Scope,
    call: CallExpression,
    private readonly names: readonly string[],
    trailing: boolean,
  ) {
    this.place = call.place;
    this.name = call.function;
    this.operands = call.arguments;
    const { length } = call.arguments;
    const most = names.length + (trailing ? 1 : 0);
    if (length < names.length || length > most) {
      const place = call.arguments[most]?.place ?? call.place;
      const wanted = [...names, ...(trailing ? ["{ ... }"] : [])].join(", ");
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
    return new Field(this.scope, name, this.name, this.operands[index]!);
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
    return new Field(this.scope, key, this.owner, property.value);
  }
}

/** One argument or property; its readers throw `graph-wrong-type`. */
export class Field {
  private readonly given: Expression;
  private readonly value: Expression;
  private readonly label: string;

  constructor(
    readonly scope: Scope,
    readonly name: string,
    private readonly owner: string,
    given: Expression,
  ) {
    this.label = `${name} of ${owner}`;
    this.given = given;
    this.value = resolve(scope, given);
  }

  get place(): string {
    return this.value.place;
  }

  get isLiteral(): boolean {
    return this.value.kind === "literal";
  }

  isName(name: string): boolean {
    return this.value.kind === "name" && this.value.name === name;
  }

  isText(text: string): boolean {
    return this.value.kind === "literal" && this.value.value === text;
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

  /** The error of a value that is not what is `expected`. */
  wrong(expected: string): GsicError {
    return wrongType(this.label, expected, this.value);
  }

  list(): readonly Field[] {
    if (this.value.kind !== "list") throw this.wrong("a list");
    return this.value.items.map((item) => new Field(this.scope, this.name, this.owner, item));
  }

  /** The call of one of these functions; throws `graph-unknown-function` for a call of anything else. */
  call(...known: readonly string[]): CallExpression {
    const { value } = this;
    const expected = known.map((name) => `${name}(...)`).join(" or ");
    if (value.kind !== "call") throw this.wrong(expected);
    if (known.includes(value.function)) return value;
    throw unknownFunction(value, known, `${this.label} is ${expected}`);
  }
}

/** The error of a call of something that is not among `known`. */
export function unknownFunction(call: CallExpression, known: readonly string[], about: string): GsicError {
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
  if (constants.has(name)) return expression;
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
