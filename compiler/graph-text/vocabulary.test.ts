import { describe, expect, expectTypeOf, test } from "vitest";
import type { Node } from "../ir/graph.js";
import { inputsOf, mapInputs } from "../ir/walk.js";
import { value } from "./codec.js";
import { type FieldCodecs, shapeOf, wordsFor } from "./codec-fields.js";
import { formWords } from "./grammar-forms.js";
import { type modelFields, nodes } from "./grammar-nodes.js";
import type { matrixFields, vectorFields } from "./grammar-tensors.js";
import type * as vocabulary from "./vocabulary.js";
import { words } from "./words.js";

type Kind = Node["kind"];
const kinds = Object.keys(nodes) as Kind[];
const fieldsOf = (kind: Kind) => nodes[kind] as unknown as FieldCodecs<Record<string, unknown>>;

/** Interfaces and intersections as plain objects, so that they can be compared. */
type Plain<T> = { [K in keyof T]: T[K] };

type Spelt<C> = C extends { readonly spelt?: infer S } ? S : never;

/** The argument at a position of a call with these fields. */
type At<Fields, N> = {
  [F in keyof Fields]: Fields[F] extends { readonly position: N } ? Spelt<Fields[F]> : never;
}[keyof Fields];

type Absent = { readonly absent: unknown };
type NoProperty = { readonly position: number } | { readonly words: object };

/** The object of properties of a call with these fields. */
type Options<Fields> = {
  readonly [F in keyof Fields as Fields[F] extends NoProperty | Absent ? never : F]: Spelt<Fields[F]>;
} & {
  readonly [F in keyof Fields as Fields[F] extends Absent ? F : never]?: Spelt<Fields[F]>;
};

/** The parameters that follow those of `Done`; the object stands where the first position without an argument is. */
type ParametersOf<Fields, Options, Done extends unknown[] = [], Placed = false> =
  // biome-ignore format: one line a case.
  [At<Fields, Done["length"]>] extends [never]
    ? Placed extends true ? Done
    : Record<never, never> extends Options ? ParametersOf<Fields, Options, [...Done, options?: Options], true>
    : ParametersOf<Fields, Options, [...Done, Options], true>
  : ParametersOf<Fields, Options, [...Done, Plain<At<Fields, Done["length"]>>], Placed>;

interface Signature<Parameters, Result> {
  parameters: Parameters;
  result: Result;
}

type Call<Fields, Result, More = unknown> = Signature<
  ParametersOf<Fields, Plain<Options<Fields> & More>>,
  Result
>;

type WordsOf<K extends Kind> = (typeof nodes)[K] extends { readonly method: { readonly words: infer Words } }
  ? keyof Words
  : K;

type FormOf<Gate, Tier> = [Gate, Tier] extends [null, null]
  ? vocabulary.Form
  : Call<(Gate extends null ? unknown : Gate) & (Tier extends null ? unknown : Tier), vocabulary.Form>;

type Forms = typeof formWords;

/** What a graph.ts may call, as the tables of fields have it. */
type Grammar = Plain<
  { [K in Kind as WordsOf<K>]: Call<(typeof nodes)[K], vocabulary.Value, vocabulary.Named> } & {
    [W in keyof Forms]: FormOf<Forms[W]["gate"], Forms[W]["tier"]>;
  } & {
    matrix: Call<typeof matrixFields, vocabulary.Matrix>;
    vector: Call<typeof vectorFields, vocabulary.Vector>;
    model: Call<typeof modelFields, vocabulary.Model>;
  }
>;

/** What a graph.ts may call, as vocabulary.ts has it. */
type Vocabulary = {
  [W in keyof typeof vocabulary]: (typeof vocabulary)[W] extends (...given: infer Given) => infer Result
    ? Signature<{ [P in keyof Given]: Plain<Exclude<Given[P], undefined>> }, Result>
    : (typeof vocabulary)[W];
};

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

type Differing = {
  [W in keyof Grammar | keyof Vocabulary]: W extends keyof Grammar & keyof Vocabulary
    ? Same<Grammar[W], Vocabulary[W]> extends true
      ? never
      : W
    : W;
}[keyof Grammar | keyof Vocabulary];

describe("the vocabulary is what the grammar reads", () => {
  test("word for word, with the same types, as tsc checks", () => {
    expectTypeOf<Differing>().toBeNever();
    const called = kinds.flatMap((kind) => wordsFor(fieldsOf(kind), kind));
    expect([...called, ...Object.keys(formWords), "matrix", "model", "vector"].sort()).toEqual(words);
  });
});

test("the inputs of a node are the values that its call takes, in that order", () => {
  for (const kind of kinds) {
    const read = shapeOf(fieldsOf(kind)).arguments.filter(([, { parse }]) => parse === value.parse);
    const named = Object.fromEntries(Object.keys(nodes[kind]).map((field) => [field, field]));
    const node = { ...named, kind } as unknown as Node;
    expect(inputsOf(node)).toEqual(read.map(([field]) => field));
    const renamed = Object.fromEntries(read.map(([field]) => [field, `other ${field}`]));
    expect(mapInputs(node, (input) => `other ${input}`)).toEqual({ ...node, ...renamed });
  }
});
