/** The first bytes of a buffer, or new memory if it is too small. */
export function frontOf(buffer: Uint8Array | undefined, bytes: number): Uint8Array {
  return buffer !== undefined && buffer.length >= bytes ? buffer.subarray(0, bytes) : new Uint8Array(bytes);
}
