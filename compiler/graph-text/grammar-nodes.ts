/** The nodes of a graph and the model itself, as a graph.ts says them. A new kind of node is one entry here. */

import { cacheTypes, type Graph, type Node, type Placed, type RopeScaling } from "../ir/graph.js";
import type { ByteAccount, Form } from "../ir/plan.js";
import { type Codec, choice, count, integer, list, number, positive, text, value } from "./codec.js";
import { argument, derived, type FieldCodecs, optional, saidBy } from "./codec-fields.js";
import { object, shared, variants } from "./codec-objects.js";
import { form } from "./grammar-forms.js";
import { matrix, vector } from "./grammar-tensors.js";
import { layerByName } from "./print-names.js";

/** The node of that kind. */
type NodeOf<K extends Node["kind"], N = Node> = N extends { readonly kind: infer Q }
  ? K extends Q
    ? N
    : never
  : never;

/** What was decided for a linear, as the file says it. */
export interface Decided {
  readonly form: Form;
  /** Null where it is left out. */
  readonly bytes: ByteAccount | null;
  readonly verdict: string | null;
}

/** What the call of a node says, besides its place: its fields, and of a linear what was decided for it. */
export type Written<K extends Node["kind"]> = Omit<NodeOf<K>, "kind" | keyof Placed> &
  (K extends "linear" ? Decided : unknown);

const scaling = variants<RopeScaling>({
  none: {},
  linear: { factor: number },
  divisors: { divisors: list(number) },
  longrope: { attentionFactor: number, divisors: list(number) },
  llama3: {
    factor: number,
    lowFrequencyFactor: number,
    highFrequencyFactor: number,
    originalContext: positive,
  },
});

const account = object<ByteAccount>({
  dense: count,
  fast: count,
  middle: optional(count, undefined),
  slow: count,
});

/** One number where every token reads the same. */
const bytes: Codec<ByteAccount, unknown, ByteAccount | number> = {
  print: (value, printer) => {
    const { dense, fast, slow } = value;
    return fast === dense && slow === dense ? count.print(dense, printer) : account.print(value, printer);
  },
  parse: (field, above) => {
    if (!field.isLiteral) return account.parse(field, above);
    const dense = field.number();
    return { dense, fast: dense, slow: dense };
  },
};

/** `none` outside the layers. */
const layer: Codec<number | null, unknown, number | "none"> = {
  print: (index, printer) => (index === null ? text.print("none", printer) : number.print(index, printer)),
  parse: (field) => (field.isText("none") ? null : field.integer(0)),
};

/** The fields that every node has; `name` is the constant that holds it, and its id unless another is given. */
export function placeFields(name: string): FieldCodecs<Placed> {
  return {
    id: optional(text, name),
    layer: derived(layer, ({ id }: Pick<Placed, "id">) => layerByName(id)),
  };
}

/** The fields of every kind of node, besides those. A node is called as its kind, where no field is said by its word. */
export const nodes = {
  embedding: {
    index: argument(0, choice(["token", "position"])),
    table: argument(1, matrix),
    offset: optional(integer(0), 0),
    scale: optional(number, 1),
  },
  norm: {
    input: argument(0, value),
    method: saidBy({ layerNorm: "layer", rmsNorm: "rms" }),
    heads: optional(positive, 1),
    gain: vector,
    bias: optional(vector, null),
    epsilon: number,
  },
  linear: {
    input: argument(0, value),
    form: argument(1, form),
    weight: matrix,
    bias: optional(vector, null),
    bytes: optional(bytes, null),
    verdict: optional(text, null),
  },
  rope: {
    input: argument(0, value),
    heads: positive,
    headDim: positive,
    rotaryDim: derived(positive, ({ headDim }: { readonly headDim: number }) => headDim),
    pairing: choice(["half", "adjacent"]),
    theta: number,
    scaling: optional(shared("rotary positions", "rope_scaling", scaling), { kind: "none" }),
  },
  attention: {
    query: argument(0, value),
    key: argument(1, value),
    value: argument(2, value),
    heads: positive,
    kvHeads: derived(positive, ({ heads }: { readonly heads: number }) => heads),
    headDim: positive,
    scale: derived(number, ({ headDim }: { readonly headDim: number }) => 1 / Math.sqrt(headDim)),
    window: optional(positive, null),
    cache: optional(choice(cacheTypes), "f32"),
  },
  activation: {
    input: argument(0, value),
    function: argument(1, choice(["gelu", "gelu_tanh", "silu", "relu"]), "name"),
  },
  add: { left: argument(0, value), right: argument(1, value) },
  multiply: { left: argument(0, value), right: argument(1, value) },
} satisfies { readonly [K in Node["kind"]]: FieldCodecs<Written<K>> };

/** What the model's call says: of the graph what is not a node, and where the graph came from. */
export type WrittenModel = Omit<Graph, "nodes"> & PlanHeader;

/** What a graph.ts says about where it came from. */
export interface PlanHeader {
  /** Path of model.toml, relative to the graph.ts, with forward slashes. */
  readonly config: string;
  /** SHA-256 of the model. */
  readonly fingerprint: string;
}

/** The fields of `model({ name, ... }, output)`. */
export const modelFields = {
  name: text,
  family: text,
  vocabulary: positive,
  context: positive,
  config: text,
  fingerprint: text,
  output: argument(1, value),
} satisfies FieldCodecs<WrittenModel>;
