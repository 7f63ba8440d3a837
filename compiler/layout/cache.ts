import { type AttentionNode, type CacheType, cacheTypes, type Graph } from "../ir/graph.js";
import type { DeviceKind } from "../ir/program.js";
import { roundUp } from "./stride.js";

/** The caches that the kernels of a kind of device have. */
export const cachesOf: Readonly<Record<DeviceKind, readonly CacheType[]>> = {
  cpu: cacheTypes,
  hip: ["f32", "f16"],
  cuda: ["f32", "f16"],
};

/**
 * Positions of a block of the KV cache, a power of two. A longer one is read a little faster; a shorter one is shared by
 * more texts that begin alike, and less of it is empty.
 */
export function cacheBlock(context: number): number {
  return context < 512 ? 16 : 64;
}

/** Bytes of the cache that attention reads for one head's key, or value, at a position. */
export function cachedBytes(type: CacheType, headDim: number): number {
  switch (type) {
    case "f32":
      return 4 * headDim;
    case "f16":
      return 2 * headDim;
    case "int8":
      return headDim + 4;
    default:
      return type satisfies never;
  }
}

/** Bytes that a layer's keys, or values, take in a block of so many positions; as templates/include/gsic/attention.h puts them. */
export function cacheRoom(
  { cache, kvHeads, headDim }: Pick<AttentionNode, "cache" | "kvHeads" | "headDim">,
  positions: number,
): number {
  return kvHeads * positions * cachedBytes(cache, roundUp(headDim, 16));
}

/** Bytes of the cache that a token reads of each position that it sees, in all layers. */
export function bytesPerPosition(graph: Graph): number {
  return bytesBehind(graph, 1);
}

/** Bytes of the cache that a token reads behind so many positions, in all layers; windows of attention end some of them. */
export function bytesBehind({ nodes }: Graph, positions: number): number {
  return nodes.reduce((sum, node) => {
    if (node.kind !== "attention") return sum;
    const seen = Math.min(positions, node.window ?? positions);
    return sum + 2 * node.kvHeads * cachedBytes(node.cache, node.headDim) * seen;
  }, 0);
}
