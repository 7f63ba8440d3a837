/**
 * Positions of a block of the KV cache, a power of two. A longer one is read a little faster; a shorter one is shared by
 * more texts that begin alike, and less of it is empty.
 */
export function cacheBlock(context: number): number {
  return context < 512 ? 16 : 64;
}
