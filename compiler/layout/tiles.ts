import { blockSizes, type DType } from "../ir/graph.js";
import { frontOf } from "./front.js";

/** Rows of a tile of floats, and of any tile of a GPU; `kTileRows` in templates/include/gsic/tiles.h and gpu/matrix.h. */
export const tileRows = 4;

/** Most elements of a segment, and tiles of a group; `kSegment` and `kTileGroup` in tiles.h. */
const segmentElements = 576;

const groupTiles = 32;

/**
 * How a CPU's matrix of floats is packed: tiles of four rows, in blocks of 32 elements; in groups of tiles and segments
 * of blocks where d is long, as templates/include/gsic/tiles.h describes.
 */
export function packing(dtype: DType, out: number, d: number) {
  const blockElements = 32;
  const blockBytes = blockElements * blockSizes[dtype].bytes;
  const blocks = Math.ceil(d / blockElements);
  const tiles = Math.ceil(out / tileRows);
  const segments = Math.ceil(d / segmentElements);
  return {
    blockElements,
    blockBytes,
    blocks,
    tiles,
    bytes: tiles * tileRows * blocks * blockBytes,
    segmentBlocks: Math.ceil(blocks / segments),
    groupTiles: segments === 1 ? 1 : groupTiles,
  };
}

/** Rows of a run of any matrix. */
export const maxRunRows = groupTiles * tileRows;

/**
 * Interleaves whole rows of floats into tiles of four, as templates/include/gsic/tiles.h reads them. `rows` holds complete
 * rows as they are stored; missing rows of the last tile and elements beyond d are zero. The result lies at the front
 * of `buffer` where that is given and large enough, else in new memory.
 */
export function packRows(dtype: DType, d: number, rows: Uint8Array, buffer?: Uint8Array): Uint8Array {
  const block = blockSizes[dtype];
  const rowBytes = (d / block.elements) * block.bytes;
  const count = rows.length / rowBytes;
  const { blockBytes, blocks, tiles, bytes, segmentBlocks, groupTiles } = packing(dtype, count, d);
  const packed = frontOf(buffer, bytes);
  if (count % tileRows !== 0 || rowBytes !== blocks * blockBytes) packed.fill(0);
  // Copying by the widest word that divides everything is faster than a call per block.
  const word = [4, 2, 1].find((size) =>
    [blockBytes, rowBytes, rows.byteOffset, packed.byteOffset].every((n) => n % size === 0),
  )!;
  const from = words(rows, word);
  const to = words(packed, word);
  const [rowWords, blockWords] = [rowBytes / word, blockBytes / word];
  // In the order of the result: a store that jumps costs more than a load that does.
  let target = 0;
  for (let group = 0; group < tiles; group += groupTiles) {
    const end = Math.min(group + groupTiles, tiles);
    for (let segment = 0; segment < blocks; segment += segmentBlocks) {
      for (let tile = group; tile < end; tile++) {
        const present = Math.min(tileRows, count - tile * tileRows);
        for (let index = segment; index < Math.min(segment + segmentBlocks, blocks); index++) {
          const begin = index * blockWords;
          const length = Math.min(blockWords, rowWords - begin);
          for (let row = 0; row < present; row++) {
            const source = (tile * tileRows + row) * rowWords + begin;
            const place = target + row * blockWords;
            for (let i = 0; i < length; i++) to[place + i] = from[source + i]!;
          }
          target += tileRows * blockWords;
        }
      }
    }
  }
  if (dtype === "bf16") interleaveHalves(packed);
  return packed;
}

/** Blocks of 32 elements of 16 bits: element i into the lower half of word i, element 16 + i into the upper one. */
function interleaveHalves(blocks: Uint8Array): void {
  const words = new Uint32Array(blocks.buffer as ArrayBuffer, blocks.byteOffset, blocks.length / 4);
  const [low, high] = [new Uint32Array(8), new Uint32Array(8)];
  for (let block = 0; block < words.length; block += 16) {
    for (let i = 0; i < 8; i++) {
      low[i] = words[block + i]!;
      high[i] = words[block + 8 + i]!;
    }
    for (let i = 0; i < 8; i++) {
      words[block + 2 * i] = (low[i]! & 0xffff) | (high[i]! << 16);
      words[block + 2 * i + 1] = (low[i]! >>> 16) | (high[i]! & 0xffff0000);
    }
  }
}

function words(bytes: Uint8Array, size: number): Uint8Array | Uint16Array | Uint32Array {
  const Words = size === 4 ? Uint32Array : size === 2 ? Uint16Array : Uint8Array;
  return new Words(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / size);
}
