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

/** The node with every value that it reads replaced: those that `inputsOf` lists. */
export function mapInputs(node: Node, replace: (input: ValueId) => ValueId): Node {
  switch (node.kind) {
    case "embedding":
      return node;
    case "norm":
    case "linear":
    case "rope":
    case "activation":
      return { ...node, input: replace(node.input) };
    case "attention":
      return { ...node, query: replace(node.query), key: replace(node.key), value: replace(node.value) };
    case "add":
    case "multiply":
      return { ...node, left: replace(node.left), right: replace(node.right) };
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

/** What a layer's value is called; the same part of different layers differs in their numbers only. */
export function idInLayer(layer: number | null, part: string): ValueId {
  return layer === null ? part : `layer${layer}_${part}`;
}

/** What a value is called beside others of its layer, for people; its whole id where it is not called as `idInLayer` does. */
export function partOf({ id, layer }: Pick<Node, "id" | "layer">): string {
  const prefix = idInLayer(layer, "");
  return id.startsWith(prefix) && id !== prefix ? id.slice(prefix.length) : id;
}
