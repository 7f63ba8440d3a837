import type { AttentionNode, CacheType, Graph } from "./graph.js";

/** The graph with the KV cache of every layer kept as `type`. */
export function withCache(graph: Graph, type: CacheType): Graph {
  const nodes = graph.nodes.map((node) => (node.kind === "attention" ? { ...node, cache: type } : node));
  return { ...graph, nodes };
}

/** The attention of every layer, in their order. */
export function attentionNodes({ nodes }: Graph): readonly AttentionNode[] {
  return nodes.flatMap((node) => (node.kind === "attention" ? [node] : []));
}

/** How the layers keep keys and values, in their order. */
export function cacheTypesOf(graph: Graph): readonly CacheType[] {
  return attentionNodes(graph).map(({ cache }) => cache);
}

/** Whether some layer's cache rounds what it keeps. */
export function roundsCache(graph: Graph): boolean {
  return cacheTypesOf(graph).some((type) => type !== "f32");
}
