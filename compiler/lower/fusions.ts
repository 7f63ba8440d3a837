import { isDeepStrictEqual } from "node:util";
import type { BinaryNode, LinearNode, NormNode, RopeNode, ValueId } from "../ir/graph.js";
import { type Fusion, fusion } from "./fusion.js";
import type { NodeOf, Wiring } from "./wiring.js";

/** All fusions. Of those that take a node, the first counts. */
export const fusions: readonly Fusion[] = [
  fusion({
    name: "embeddings",
    ends: "add",
    takes: "the sum of two embeddings",
    match(sum, wiring) {
      const tables = [sum.left, sum.right].flatMap((id) => wiring.own(id, "embedding") ?? []);
      return tables.length === 2 ? { absorbs: tables, output: sum.id } : null;
    },
    steps: ({ absorbs, output }, make) => [
      { kind: "embed", layer: absorbs[0]!.layer, output, width: make.width(output), tables: absorbs },
    ],
  }),
  fusion({
    name: "embedding",
    ends: "embedding",
    takes: "an embedding",
    match: (table) => ({ absorbs: [], table }),
    steps: ({ table }, make) => [
      { kind: "embed", layer: table.layer, output: table.id, width: make.width(table.id), tables: [table] },
    ],
  }),
  fusion({
    name: "linear and residual",
    ends: "add",
    takes: "the sum of a linear and another value",
    match: (sum, wiring) => termOf(sum, wiring, "linear"),
    steps: ({ absorbs, residual, output }, make) => make.project(output, absorbs, { residual }),
  }),
  fusion({
    name: "norm and residual",
    ends: "add",
    takes: "the sum of a norm and another value",
    match: (sum, wiring) => termOf(sum, wiring, "norm"),
    steps: ({ absorbs: [node], residual, output }, make) => [
      { kind: "norm", layer: node.layer, output, width: make.width(output), node, residual },
    ],
  }),
  fusion({
    name: "norm",
    ends: "norm",
    takes: "a norm of whole values",
    match: (node) => (node.heads === 1 ? { absorbs: [], node } : null),
    steps: ({ node }, make) => [
      { kind: "norm", layer: node.layer, output: node.id, width: make.width(node.id), node, residual: null },
    ],
  }),
  fusion({
    name: "query, key, value, cache and attention",
    ends: "attention",
    takes:
      "attention whose query, key and value are linears of one value; query and key may have RMS norms of their heads, and " +
      "behind these rotations by the same angles, both or neither",
    match(attention, wiring) {
      const query = headsOf(attention.query, wiring);
      const key = headsOf(attention.key, wiring);
      const value = wiring.own(attention.value, "linear");
      if (query === null || key === null || value === null || !areAlike(query, key)) return null;
      const linears = [query.linear, key.linear, value];
      if (linears.some(({ input }) => input !== value.input)) return null;
      const absorbs = [...linears, query.norm, key.norm, query.rope, key.rope].filter(
        (node) => node !== null,
      );
      return { absorbs, attention, linears, query, key };
    },
    steps({ attention, linears, query, key }, make) {
      const source = `${attention.id}_inputs`;
      const keyColumn = query.linear.weight.out;
      const valueColumn = keyColumn + key.linear.weight.out;
      const sourceWidth = linears.reduce((sum, { weight }) => sum + weight.out, 0);
      const place = { layer: make.nextLayer(), source, sourceWidth, queryColumn: 0 };
      const norms = query.norm && key.norm && { query: query.norm, key: key.norm };
      const { rope } = query;
      return [
        ...make.project(source, linears),
        { kind: "cache", ...place, keyColumn, valueColumn, attention, norms, rope },
        { kind: "attend", ...place, output: attention.id, attention },
      ];
    },
  }),
  fusion({
    name: "glu",
    ends: "multiply",
    takes:
      "the product f(gate) * up of an activation and a linear, where gate and up are linears of one value",
    match(product, wiring) {
      for (const [first, second] of bothWays(product)) {
        const activation = wiring.own(first, "activation");
        const gate = activation && wiring.own(activation.input, "linear");
        const up = wiring.own(second, "linear");
        if (activation && gate && up && gate.input === up.input)
          return { absorbs: [activation, gate, up], activation, linears: [gate, up], output: product.id };
      }
      return null;
    },
    steps: ({ activation, linears, output }, make) =>
      make.project(output, linears, { activation: activation.function, glu: true }),
  }),
  fusion({
    name: "linear and activation",
    ends: "activation",
    takes: "the activation of a linear",
    match(activation, wiring) {
      const linear = wiring.own(activation.input, "linear");
      return linear && { absorbs: [linear], activation };
    },
    steps: ({ absorbs, activation }, make) =>
      make.project(activation.id, absorbs, { activation: activation.function }),
  }),
  fusion({
    name: "head",
    ends: "linear",
    takes: "the linear that makes logits",
    match: (linear, wiring) => (linear.id === wiring.graph.output ? { absorbs: [], linear } : null),
    steps: ({ linear }, make) => make.project(linear.id, [linear], { head: true }),
  }),
  fusion({
    name: "linear",
    ends: "linear",
    takes: "a linear",
    match: (linear) => ({ absorbs: [], linear }),
    steps: ({ linear }, make) => make.project(linear.id, [linear]),
  }),
];

/** The term of a sum that is computed with it, if it is of this kind: a linear or a norm, the right one if both are. */
function termOf<Kind extends "linear" | "norm">(sum: BinaryNode, wiring: Wiring, kind: Kind) {
  for (const [residual, term] of bothWays(sum)) {
    const node = wiring.own(term, "linear", "norm");
    if (node === null || (node.kind === "norm" && node.heads !== 1)) continue;
    const absorbed = wiring.own(term, kind);
    return absorbed && { absorbs: [absorbed] as readonly [NodeOf<Kind>], residual, output: sum.id };
  }
  return null;
}

function bothWays({ left, right }: BinaryNode): readonly (readonly [ValueId, ValueId])[] {
  return [
    [left, right],
    [right, left],
  ];
}

/** What attention reads: a linear, then the RMS norm of its heads, then their rotation; the last two where they are. */
interface Heads {
  readonly linear: LinearNode;
  readonly norm: NormNode | null;
  readonly rope: RopeNode | null;
}

function headsOf(id: ValueId, wiring: Wiring): Heads | null {
  const rope = wiring.own(id, "rope");
  const rotated = rope?.input ?? id;
  const norm = wiring.own(rotated, "norm");
  const linear = wiring.own(norm?.input ?? rotated, "linear");
  return linear === null || (norm !== null && norm.method !== "rms") ? null : { linear, norm, rope };
}

/** Whether one step can make the heads of query and key: both are normalised or neither, and both are rotated by the same angles. */
function areAlike(query: Heads, key: Heads): boolean {
  if ((query.norm === null) !== (key.norm === null)) return false;
  if (query.rope === null || key.rope === null) return query.rope === key.rope;
  return isDeepStrictEqual(rotationOf(query.rope), rotationOf(key.rope));
}

/** What a rotation is, whatever it rotates. */
function rotationOf({ id, input, heads, ...rotation }: RopeNode) {
  return rotation;
}
