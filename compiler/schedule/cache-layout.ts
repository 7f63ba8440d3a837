import type { CacheOperand } from "../emit/operands.js";
import { attentionNodes } from "../ir/cache.js";
import type { AttentionNode, Graph } from "../ir/graph.js";
import { cacheBlock, cacheRoom } from "../layout/cache.js";

/** Where a program finds the keys and values of each layer in a block of the cache. */
export interface CacheLayout {
  /** Of a block, that the program touches. */
  readonly bytes: number;
  place(operand: CacheOperand): { readonly offset: number; readonly bytes: number };
}

/**
 * A block of the cache, layer by layer: keys, then values, each [kv heads, positions, padded head] in the layer's type; as
 * in templates/include/gsic/attention.h. `drafts` is the graph of the program that drafts what this one verifies: its
 * layout begins the block, and layers that it keeps in another type follow once more, as this program reads them.
 */
export function cacheLayout(graph: Graph, drafts: Graph | null = null): CacheLayout {
  const block = cacheBlock(graph.context);
  let bytes = 0;
  const take = (node: AttentionNode) => {
    const size = cacheRoom(node, block);
    const begin = bytes;
    bytes += 2 * size;
    return { keys: begin, values: begin + size, size };
  };
  const drafted = attentionNodes(drafts ?? graph);
  const first = drafted.map(take);
  const own = attentionNodes(graph).map((node, layer) =>
    node.cache === drafted[layer]!.cache ? first[layer]! : take(node),
  );
  const place = ({ layer, part, forDrafts = false }: CacheOperand) => {
    const region = (forDrafts ? first : own)[layer]!;
    return { offset: region[part], bytes: region.size };
  };
  return { place, bytes: Math.max(bytes, 64) };
}
