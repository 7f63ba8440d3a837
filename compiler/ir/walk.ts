import type { Graph, LinearNode, Node, ValueId } from "./graph.js";

/** The values that a node reads, in order. */
export function inputsOf(node: Node): readonly ValueId[] {
  switch (node.kind) {
    case "embedding":
      return [];
    case "norm":
    case "linear":
    case "rope":
    case "activation":
      return [node.input];
    case "attention":
      return [node.query, node.key, node.value];
    case "add":
    case "multiply":
      return [node.left, node.right];
    default:
      return node satisfies never;
  }
}

/** The linear node of that name; a defect of the caller if there is none. */
export function linearById(graph: Graph, id: ValueId): LinearNode {
  const node = nodeIndex(graph).get(id);
  if (node?.kind !== "linear") throw new Error(`${id} is not a linear of ${graph.name}`);
  return node;
}

const indices = new WeakMap<Graph, ReadonlyMap<ValueId, Node>>();

/** Nodes by the value that they compute. */
export function nodeIndex(graph: Graph): ReadonlyMap<ValueId, Node> {
  let index = indices.get(graph);
  if (index === undefined) {
    index = new Map(graph.nodes.map((node) => [node.id, node]));
    indices.set(graph, index);
  }
  return index;
}

/** Width of every value; nodes must be in execution order. */
export function valueWidths(graph: Graph): ReadonlyMap<ValueId, number> {
  const widths = new Map<ValueId, number>();
  for (const node of graph.nodes) widths.set(node.id, widthOf(node, widths));
  return widths;
}

function widthOf(node: Node, widths: ReadonlyMap<ValueId, number>): number {
  switch (node.kind) {
    case "embedding":
      return node.table.d;
    case "linear":
      return node.weight.out;
    case "attention":
      return node.heads * node.headDim;
    case "norm":
    case "rope":
    case "activation":
      return widths.get(node.input) ?? 0;
    case "add":
    case "multiply":
      return widths.get(node.left) ?? 0;
    default:
      return node satisfies never;
  }
}

/** The layer that a value belongs to, and its name within it; null for what stands before and after the layers. */
export function layerOf(id: ValueId): { readonly index: number; readonly part: string } | null {
  const match = /^layer(\d{1,6})_(.+)$/s.exec(id);
  return match === null ? null : { index: Number(match[1]), part: match[2]! };
}
