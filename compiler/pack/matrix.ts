import { blockSizes, type DType } from "../ir.js";
import { packing, tileRows } from "../schedule/layout.js";

/**
 * Interleaves whole rows into tiles of four, block by block, as templates/include/gsic/multiply.h reads them.
 * `rows` holds complete rows as they are stored; missing rows of the last tile and elements beyond d are zero.
 * The result lies at the front of `buffer` where that is given and large enough, else in new memory.
 */
export function packRows(dtype: DType, d: number, rows: Uint8Array, buffer?: Uint8Array): Uint8Array {
  const block = blockSizes[dtype];
  const rowBytes = (d / block.elements) * block.bytes;
  const count = rows.length / rowBytes;
  const { blockBytes, blocks, tiles, bytes } = packing(dtype, count, d);
  const packed = frontOf(buffer, bytes);
  if (count % tileRows !== 0 || rowBytes !== blocks * blockBytes) packed.fill(0);
  // Copying by the widest word that divides everything is faster than a call per block.
  const word = [4, 2, 1].find((size) =>
    [blockBytes, rowBytes, rows.byteOffset, packed.byteOffset].every((n) => n % size === 0),
  )!;
  const from = words(rows, word);
  const to = words(packed, word);
  const [rowWords, blockWords] = [rowBytes / word, blockBytes / word];
  const tileWords = tileRows * blocks * blockWords;
  for (let tile = 0; tile < tiles; tile++) {
    const present = Math.min(tileRows, count - tile * tileRows);
    // In the order of the result: a store that jumps costs more than a load that does.
    for (let index = 0; index < blocks; index++) {
      const begin = index * blockWords;
      const length = Math.min(blockWords, rowWords - begin);
      for (let row = 0; row < present; row++) {
        const source = (tile * tileRows + row) * rowWords + begin;
        const target = tile * tileWords + (index * tileRows + row) * blockWords;
        for (let i = 0; i < length; i++) to[target + i] = from[source + i]!;
      }
    }
  }
  return packed;
}

/** The first bytes of a buffer, or new memory if it is too small. */
export function frontOf(buffer: Uint8Array | undefined, bytes: number): Uint8Array {
  return buffer !== undefined && buffer.length >= bytes ? buffer.subarray(0, bytes) : new Uint8Array(bytes);
}

function words(bytes: Uint8Array, size: number): Uint8Array | Uint16Array | Uint32Array {
  const Words = size === 4 ? Uint32Array : size === 2 ? Uint16Array : Uint8Array;
  return new Words(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / size);
}
