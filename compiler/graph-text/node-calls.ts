/** Nodes as calls: the table of grammar-nodes.ts, applied. */

import type { Node, Placed } from "../ir/graph.js";
import type { LinearPlan } from "../ir/plan.js";
import type { Printer } from "./codec.js";
import { type FieldCodecs, wordOf, wordsFor } from "./codec-fields.js";
import { type CallText, parseCall, printCall } from "./codec-objects.js";
import { type Decided, nodes, placeFields, type Written } from "./grammar-nodes.js";
import { type CallExpression, type Scope, unknownFunction } from "./parse-fields.js";
import { constants, words } from "./words.js";

/** Any node's fields: that the table has those of each kind is what its own type says. */
type AnyFields = Readonly<Record<string, unknown>>;

type Kind = Node["kind"];

const kinds: ReadonlyMap<string, Kind> = new Map(
  (Object.keys(nodes) as Kind[]).flatMap((kind) =>
    wordsFor(fieldsOf(kind, ""), kind).map((word) => [word, kind]),
  ),
);

/** Functions that make a part of a node, such as a matrix. */
const parts = words.filter((word) => !kinds.has(word) && !constants.has(word) && word !== "model");

/** The fields of a node, with its place; `name` is the constant that holds it, and its id unless another is given. */
function fieldsOf(kind: Kind, name: string): FieldCodecs<AnyFields> {
  return { ...placeFields(name), ...nodes[kind] } as unknown as FieldCodecs<AnyFields>;
}

/** The call that computes a node; of a linear with what was decided for it. */
export function printNode(
  node: Node,
  decided: LinearPlan | undefined,
  name: string,
  printer: Printer,
): CallText {
  if (node.kind === "linear" && decided === undefined) throw new Error(`${node.id} is not decided`);
  const fields = fieldsOf(node.kind, name);
  const value: AnyFields = { ...decided, ...node };
  return printCall(wordOf(fields, node.kind, value), fields, value, printer);
}

/** What the file says of one linear, and where it says its form. */
export interface Decision extends Decided {
  readonly place: string;
}

/** A node, and of a linear what was decided for it. */
interface ParsedNode {
  readonly node: Node;
  readonly decision: Decision | null;
}

/** Whether a call makes a node, and not a part of one. Throws `graph-unknown-function` where it makes neither. */
export function isNode(call: CallExpression): boolean {
  if (kinds.has(call.function)) return true;
  if (parts.includes(call.function)) return false;
  const known = [...kinds.keys(), ...parts];
  throw unknownFunction(call, known, `gsic/graph has: ${known.join(", ")}`);
}

/** Makes the node of a call that `isNode`; `name` is the constant that holds it. */
export function parseNode(scope: Scope, expression: CallExpression, name: string): ParsedNode {
  const kind = kinds.get(expression.function)!;
  const { value, call } = parseCall<AnyFields, unknown>(fieldsOf(kind, name), scope, expression, {});
  if (kind !== "linear") return { node: { kind, ...value } as Node, decision: null };
  const { form, bytes, verdict, ...linear } = value as unknown as Written<"linear"> & Placed;
  return {
    node: { kind, ...linear },
    decision: { form, bytes, verdict, place: call.argument("form").place },
  };
}
