/** Transposes [rows, columns] elements of `width` bytes, in tiles that stay in the cache. */
export function transpose(bytes: Uint8Array, rows: number, columns: number, width: number): Uint8Array {
  const Words = width === 4 ? Uint32Array : Uint16Array;
  const from = new Words(bytes.buffer as ArrayBuffer, bytes.byteOffset, rows * columns);
  const to = new Words(rows * columns);
  const tile = 32;
  for (let row0 = 0; row0 < rows; row0 += tile) {
    const rowEnd = Math.min(rows, row0 + tile);
    for (let column0 = 0; column0 < columns; column0 += tile) {
      const columnEnd = Math.min(columns, column0 + tile);
      for (let column = column0; column < columnEnd; column++) {
        for (let row = row0; row < rowEnd; row++) {
          to[column * rows + row] = from[row * columns + column]!;
        }
      }
    }
  }
  return new Uint8Array(to.buffer);
}
