import type { BitWidth, Quantizer } from "../ir/plan.js";
import type { QuantizedSource } from "../ir/steps.js";
import type { LowRank, QuantizedLinear, QuantizedMatrix } from "./quantizer.js";

/** Rows of a tile of a matrix at few bits, and columns of a block; templates/include/gsic/quantized.h. */
export const quantizedTile = { rows: 16, blockColumns: 32 } as const;

/** Byte offsets within a tile of sixteen rows; templates/include/gsic/quantized.h describes what lies there. */
export function quantizedTileLayout(d: number, { bits, group, symmetric }: Quantizer, rank: number) {
  const { rows, blockColumns } = quantizedTile;
  const groups = Math.ceil(d / group);
  const blocks = Math.ceil(d / blockColumns);
  const groupBytes = Math.ceil((groups * rows) / 64) * 64;
  const scales = rows * 4;
  const zeros = scales + groupBytes;
  const data = zeros + (symmetric ? 0 : groupBytes);
  const blockBytes = (rows * blockColumns * bits) / 8;
  const factor = data + blocks * blockBytes;
  const bytes = factor + (rank === 0 ? 0 : rows * 4 + rows * rank);
  return { scales, zeros, data, factor, bytes, groups, blocks, blockBytes };
}

/** Bytes that are packed at a time, in whole tiles. */
const pieceBytes = 1 << 20;
const { rows: tileRows, blockColumns } = quantizedTile;
/** Elements of one row in a register's lane. */
const laneElements = 4;

/** A matrix at few bits for CPUs, in the tiles that templates/include/gsic/quantized.h describes; whole tiles a piece. */
export function* packQuantizedTiles(
  { out, d, quantizer, rank }: Pick<QuantizedSource, "out" | "d" | "quantizer" | "rank">,
  { matrix, lowRank }: QuantizedLinear,
): Generator<Uint8Array> {
  const { bytes, factor } = quantizedTileLayout(d, quantizer, rank);
  const tiles = Math.ceil(out / tileRows);
  const step = Math.max(1, Math.floor(pieceBytes / bytes));
  for (let begin = 0; begin < tiles; begin += step) {
    const piece = new Uint8Array(Math.min(step, tiles - begin) * bytes);
    for (let at = 0; at < piece.length; at += bytes) {
      const first = (begin + at / bytes) * tileRows;
      const rows = Math.min(tileRows, out - first);
      const tile = piece.subarray(at, at + bytes);
      packScales(tile, d, quantizer, matrix, first, rows);
      packBlocks(tile, d, quantizer, matrix.q, first, rows);
      if (rank > 0) packFactor(tile.subarray(factor), rank, lowRank!, first, rows);
    }
    yield piece;
  }
}

/** Row scales, group scales and zeros. */
function packScales(
  tile: Uint8Array,
  d: number,
  quantizer: Quantizer,
  { scales, zeros, rowScales }: QuantizedMatrix,
  first: number,
  rows: number,
): void {
  const layout = quantizedTileLayout(d, quantizer, 0);
  tile.set(littleEndian(rowScales.subarray(first, first + rows)));
  for (let group = 0; group < layout.groups; group++) {
    for (let row = 0; row < rows; row++) {
      const from = (first + row) * layout.groups + group;
      const to = group * tileRows + row;
      tile[layout.scales + to] = scales[from]!;
      if (!quantizer.symmetric) tile[layout.zeros + to] = zeros![from]!;
    }
  }
}

/** Widths of the planes that the bits of an element are split into, the lowest first. */
const planeWidths: Readonly<Record<BitWidth, readonly number[]>> = {
  3: [2, 1],
  4: [4],
  5: [4, 1],
  6: [4, 2],
  8: [8],
};

function packBlocks(
  tile: Uint8Array,
  d: number,
  quantizer: Quantizer,
  q: Uint8Array,
  first: number,
  rows: number,
): void {
  const { data, blockBytes } = quantizedTileLayout(d, quantizer, 0);
  let plane = data;
  let from = 0;
  for (const width of planeWidths[quantizer.bits]) {
    const mask = (1 << width) - 1;
    for (let row = 0; row < rows; row++) {
      const source = (first + row) * d;
      for (let column = 0; column < d; column++) {
        const bit = Math.floor((column % blockColumns) / laneElements) * width;
        const place = Math.floor(column / blockColumns) * blockBytes + (bit >> 3) * 64;
        const value = (q[source + column]! >> from) & mask;
        tile[plane + place + row * laneElements + (column % laneElements)]! |= value << (bit & 7);
      }
    }
    plane += (tileRows * blockColumns * width) / 8;
    from += width;
  }
}

/** A: row scales, then a + 128. */
function packFactor(
  tile: Uint8Array,
  rank: number,
  { a, scales }: LowRank,
  first: number,
  rows: number,
): void {
  tile.set(littleEndian(scales.subarray(first, first + rows)));
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < rank; column++) {
      const register = tileRows * 4 + Math.floor(column / laneElements) * 64;
      tile[register + row * laneElements + (column % laneElements)] = a[(first + row) * rank + column]! + 128;
    }
  }
}

function littleEndian(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
}
