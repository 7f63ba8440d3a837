import type {
  AttentionNode,
  Graph,
  LinearNode,
  MatrixRef,
  Node,
  NormNode,
  RopeNode,
  ValueId,
  VectorRef,
} from "../ir/graph.js";
import { idInLayer, nodeIndex, partOf } from "../ir/walk.js";
import { ropeFrequencies } from "../layout/rope.js";
import { architectureOf, factorOf, outerTensors, scoreScale } from "./architectures.js";

/** Heads whose rows are reordered, so that the pairs of channels that are rotated together lie side by side. */
export interface PairedHeads {
  readonly heads: number;
  readonly headDim: number;
}

/** A matrix of the exported file: rows of the model's tensors, one below the other. */
export interface MatrixToExport {
  readonly kind: "matrix";
  readonly name: string;
  readonly parts: readonly MatrixRef[];
  /** Linears that multiply by it; none: an embedding alone. */
  readonly linears: readonly ValueId[];
  readonly paired: PairedHeads | null;
}

/** A vector of the exported file, in f32. */
export interface VectorToExport {
  readonly kind: "vector";
  readonly name: string;
  readonly parts: readonly VectorRef[] | Float32Array;
  readonly paired: PairedHeads | null;
  /** What its elements are multiplied by. */
  readonly factor: number;
}

/** A tensor of the exported file. */
type TensorToExport = MatrixToExport | VectorToExport;

/** All tensors of a model as llama.cpp names them, from the graph of a folder of safetensors. Throws `export-family`. */
export function tensorsOf(graph: Graph, source: string): TensorToExport[] {
  const architecture = architectureOf(graph, source);
  const nodes = nodeIndex(graph);
  const layers = graph.nodes.reduce((count, { layer }) => Math.max(count, (layer ?? -1) + 1), 0);
  const found: TensorToExport[] = [];
  for (const [id, name] of Object.entries(outerTensors)) found.push(...outer(graph, nodes.get(id), name));
  found.push(...divisorsOf(graph));
  for (let layer = 0; layer < layers; layer++)
    for (const [name, parts] of Object.entries(architecture.layer)) {
      const present = parts.flatMap((part) => nodes.get(idInLayer(layer, part)) ?? []);
      found.push(...tensorsOfNodes(`blk.${layer}.${name}`, present, graph, architecture.pairing));
    }
  return found;
}

/** Embeddings, the last norm, and the head unless it is the embedding. */
function outer(graph: Graph, node: Node | undefined, name: string): TensorToExport[] {
  if (node === undefined) return [];
  if (node.kind === "embedding") {
    const linears = graph.nodes.flatMap((one) =>
      one.kind === "linear" && one.weight.tensor === node.table.tensor ? [one.id] : [],
    );
    return [{ kind: "matrix", name: `${name}.weight`, parts: [node.table], linears, paired: null }];
  }
  const isTied =
    node.kind === "linear" &&
    graph.nodes.some((one) => one.kind === "embedding" && one.table.tensor === node.weight.tensor);
  return isTied ? [] : tensorsOfNodes(name, [node], graph, "half");
}

function tensorsOfNodes(
  name: string,
  nodes: readonly Node[],
  graph: Graph,
  pairing: RopeNode["pairing"],
): TensorToExport[] {
  const linears = nodes.filter((node): node is LinearNode => node.kind === "linear");
  const norms = nodes.filter((node): node is NormNode => node.kind === "norm");
  const [first] = linears;
  const paired = first === undefined || pairing === "half" ? null : pairedHeads(graph, first);
  const vector = (ending: string, parts: readonly (VectorRef | null)[]): TensorToExport[] => {
    const present = parts.flatMap((part) => part ?? []);
    return present.length === 0
      ? []
      : [
          {
            kind: "vector",
            name: `${name}.${ending}`,
            parts: present,
            paired,
            factor: queryFactor(graph, nodes),
          },
        ];
  };
  const matrix: TensorToExport[] =
    first === undefined
      ? []
      : [
          {
            kind: "matrix",
            name: `${name}.weight`,
            parts: linears.map(({ weight }) => weight),
            linears: linears.map(({ id }) => id),
            paired,
          },
        ];
  return [
    ...matrix,
    ...vector(
      "weight",
      norms.map(({ gain }) => gain),
    ),
    ...vector(
      "bias",
      [...norms, ...linears].map(({ bias }) => bias),
    ),
  ];
}

/**
 * Of the norm of query heads: what makes good that the model multiplies scores by something else than llama.cpp does. It
 * is 1 of all others, and where the two are the same.
 */
function queryFactor(graph: Graph, [node]: readonly Node[]): number {
  if (node === undefined || partOf(node) !== "query_norm") return 1;
  const attention = graph.nodes.filter((one): one is AttentionNode => one.kind === "attention");
  const { scale } = attention.find(({ layer }) => layer === node.layer)!;
  return factorOf(scale, scoreScale(graph, attention));
}

/** The heads of a query or key that are rotated by halves; null of all other linears. */
function pairedHeads({ nodes }: Graph, { id }: LinearNode): PairedHeads | null {
  const rope = nodes.find((node): node is RopeNode => node.kind === "rope" && node.input === id);
  return rope === undefined || rope.pairing === "adjacent" ? null : rope;
}

/** What llama.cpp divides rotary frequencies by, where they are scaled one by one. */
function divisorsOf({ nodes }: Graph): TensorToExport[] {
  const rope = nodes.find((node): node is RopeNode => node.kind === "rope");
  if (rope === undefined || (rope.scaling.kind !== "llama3" && rope.scaling.kind !== "divisors")) return [];
  const plain = ropeFrequencies({ ...rope, scaling: { kind: "none" } });
  const scaled = ropeFrequencies(rope);
  const parts = Float32Array.from(plain, (frequency, pair) => frequency / scaled[pair]!);
  return [{ kind: "vector", name: "rope_freqs.weight", parts, paired: null, factor: 1 }];
}
