import type { Graph, Node, ValueId } from "../ir/graph.js";
import { inputsOf, nodeIndex, valueWidths } from "../ir/walk.js";

/** A node of some kinds. */
export type NodeOf<Kind extends Node["kind"]> = Node & { readonly kind: Kind };

/** A graph as fusions look at it: what computes a value, and what reads it. */
export class Wiring {
  private readonly index: ReadonlyMap<ValueId, Node>;
  private readonly widths: ReadonlyMap<ValueId, number>;
  private readonly readers = new Map<ValueId, Node[]>();

  constructor(readonly graph: Graph) {
    this.index = nodeIndex(graph);
    this.widths = valueWidths(graph);
    for (const node of graph.nodes) {
      for (const input of inputsOf(node)) this.readers.set(input, [...this.readersOf(input), node]);
    }
  }

  /** The nodes that read a value; one that reads it twice is there twice. */
  readersOf(id: ValueId): readonly Node[] {
    return this.readers.get(id) ?? [];
  }

  /** The node of one of these kinds that computes a value which is read once; null where another does, and of logits. */
  own<Kind extends Node["kind"]>(id: ValueId, ...kinds: readonly Kind[]): NodeOf<Kind> | null {
    const node = this.index.get(id);
    const alone = this.readersOf(id).length === 1 && id !== this.graph.output;
    return alone && node !== undefined && isOf(node, kinds) ? node : null;
  }

  /** Columns of a value. */
  width(id: ValueId): number {
    return this.widths.get(id)!;
  }
}

function isOf<Kind extends Node["kind"]>(node: Node, kinds: readonly Kind[]): node is NodeOf<Kind> {
  return kinds.some((kind) => kind === node.kind);
}
