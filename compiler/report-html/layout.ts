import dagre, { type Edge } from "@dagrejs/dagre";
import type { Graph, Node, ValueId } from "../ir/graph.js";
import { inputsOf } from "../ir/walk.js";

/** In pixels from the picture's upper left corner; y grows downwards. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A node's box; x and y are its upper left corner. */
export interface Box extends Point {
  readonly id: ValueId;
  readonly width: number;
  readonly height: number;
}

/** A column of the picture: a layer, or what stands before, between or behind layers. */
export interface Column extends Point {
  readonly layer: number | null;
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly Box[];
}

/** A graph with a place for everything: columns from left to right, each from top to bottom. */
interface Layout {
  readonly width: number;
  readonly height: number;
  readonly columns: readonly Column[];
  /** Polylines from a value's box to a box that reads it. */
  readonly edges: readonly { readonly points: readonly Point[]; readonly between: boolean }[];
}

const box = { width: 168, linear: 58, other: 32 };
const margin = { side: 18, top: 44, bottom: 18 };
/** Between columns, where edges run. */
const gap = 44;

/**
 * Places a graph: each layer by itself, by a library for layered graphs. Layers of the same structure are placed once.
 * What enters a layer comes in by a port of no size at its top.
 */
export function layoutGraph(graph: Graph): Layout {
  const known = new Map<string, Placed>();
  const columns: Column[] = [];
  const edges: Layout["edges"][number][] = [];
  const places = new Map<ValueId, { box: Box; column: number }>();
  let x = 0;
  for (const { layer, nodes } of sectionsOf(graph.nodes)) {
    const key = structureOf(nodes);
    const placed = known.get(key) ?? place(nodes);
    known.set(key, placed);
    const [left, right] = [x, x + placed.width];
    const boxes = nodes.map((node, index) => ({
      ...placed.boxes[index]!,
      id: node.id,
      x: left + placed.boxes[index]!.x,
    }));
    for (const one of boxes) places.set(one.id, { box: one, column: columns.length });
    columns.push({ layer, x: left, y: 0, width: placed.width, height: placed.height, boxes });
    for (const points of placed.edges)
      edges.push({ points: points.map(({ x: at, y }) => ({ x: left + at, y })), between: false });
    for (const [index, port] of externalInputs(nodes).entries()) {
      const source = places.get(port)!;
      const entry = placed.ports[index]!;
      const from = columns[source.column]!;
      const out = { x: source.box.x + source.box.width / 2, y: source.box.y + source.box.height };
      const lane = from.x + from.width + gap / 2;
      const [below, above] = [out.y + 10, 8];
      const to = left + entry.x;
      edges.push({
        points: [
          out,
          { x: out.x, y: below },
          { x: lane, y: below },
          { x: lane, y: above },
          { x: to, y: above },
          { x: to, y: entry.y },
        ],
        between: true,
      });
    }
    x = right + gap;
  }
  const height = Math.max(...columns.map((column) => column.height));
  return { width: x - gap, height, columns, edges };
}

/** Neighbouring nodes of one layer, in execution order. */
function sectionsOf(nodes: readonly Node[]): { layer: number | null; nodes: Node[] }[] {
  const sections: { layer: number | null; nodes: Node[] }[] = [];
  for (const node of nodes) {
    const { layer } = node;
    if (sections.length === 0 || sections.at(-1)!.layer !== layer) sections.push({ layer, nodes: [] });
    sections.at(-1)!.nodes.push(node);
  }
  return sections;
}

/** Values of earlier sections that a section reads, in order, each once. */
function externalInputs(nodes: readonly Node[]): ValueId[] {
  const own = new Set(nodes.map(({ id }) => id));
  return [...new Set(nodes.flatMap(inputsOf))].filter((id) => !own.has(id));
}

/** What the places of a section depend on: the kinds of its nodes, and who reads whom. */
function structureOf(nodes: readonly Node[]): string {
  const number = new Map(
    [...externalInputs(nodes), ...nodes.map(({ id }) => id)].map((id, index) => [id, index]),
  );
  return JSON.stringify(nodes.map((node) => [node.kind, inputsOf(node).map((id) => number.get(id))]));
}

interface Placed {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly Omit<Box, "id">[];
  readonly ports: readonly Point[];
  readonly edges: readonly (readonly Point[])[];
}

function place(nodes: readonly Node[]): Placed {
  const layered = new dagre.graphlib.Graph({ multigraph: true });
  layered.setGraph({ rankdir: "TB", nodesep: 22, ranksep: 30, edgesep: 14 });
  const ports = externalInputs(nodes);
  for (const port of ports) layered.setNode(port, { width: 1, height: 1 });
  for (const { id, kind } of nodes)
    layered.setNode(id, { width: box.width, height: kind === "linear" ? box.linear : box.other });
  for (const node of nodes)
    for (const [slot, input] of inputsOf(node).entries()) layered.setEdge(input, node.id, {}, String(slot));
  dagre.layout(layered);
  const { width = 0, height = 0 } = layered.graph() as { width?: number; height?: number };
  const moved = ({ x, y }: Point) => ({ x: rounded(x + margin.side), y: rounded(y + margin.top) });
  const boxes = nodes.map(({ id }) => {
    const {
      width: wide,
      height: high,
      ...centre
    } = layered.node(id) as Point & { width: number; height: number };
    const { x, y } = moved(centre);
    return { x: x - wide / 2, y: y - high / 2, width: wide, height: high };
  });
  return {
    width: rounded(width + 2 * margin.side),
    height: rounded(height + margin.top + margin.bottom),
    boxes,
    ports: ports.map((port) => moved(layered.node(port) as unknown as Point)),
    edges: layered.edges().map((edge: Edge) => (layered.edge(edge) as { points: Point[] }).points.map(moved)),
  };
}

function rounded(value: number): number {
  return Math.round(10 * value) / 10;
}
