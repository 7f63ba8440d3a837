import type { DType } from "../ir/graph.js";
import { blockRows, blockTile, isBlockType, packBlocks } from "./blocks.js";
import type { MatrixLayout } from "./matrix-layout.js";
import { packQuantizedTiles, quantizedTile, quantizedTileLayout } from "./quantized-tiles.js";
import { packing, packRows, tileRows } from "./tiles.js";

const rowsOfTile = (dtype: DType) => (isBlockType(dtype) ? blockRows : tileRows);

/** Tiles that a vector register reads: of floats in groups and segments, of blocks and few bits a row in each lane. */
export const cpuLayout: MatrixLayout = {
  rowsOfTile,
  runRows: (dtype, d) => (isBlockType(dtype) ? blockRows : packing(dtype, 0, d).groupTiles * tileRows),
  packedBytes: (dtype, out, d) =>
    isBlockType(dtype)
      ? Math.ceil(out / blockRows) * blockTile(dtype, d).bytes
      : packing(dtype, out, d).bytes,
  packMatrix: (dtype, d, rows, buffer) =>
    isBlockType(dtype) ? packBlocks(dtype, d, rows, buffer) : packRows(dtype, d, rows, buffer),
  quantizedBytes: ({ out, d, quantizer, rank }) =>
    Math.ceil(out / quantizedTile.rows) * quantizedTileLayout(d, quantizer, rank).bytes,
  packQuantized: packQuantizedTiles,
};
