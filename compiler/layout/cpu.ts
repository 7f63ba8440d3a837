import type { DType } from "../ir/graph.js";
import { blockRows, blockTile, isBlockType, packBlocks } from "./blocks.js";
import { codedBytes, packCoded } from "./coded-tiles.js";
import type { MatrixLayout } from "./matrix-layout.js";
import { packQuantizedTiles, quantizedTile, quantizedTileLayout } from "./quantized-tiles.js";
import { maxRunRows, packing, packRows, tileRows } from "./tiles.js";

const rowsOfTile = (dtype: DType) => (isBlockType(dtype) ? blockRows : tileRows);

/** Tiles that a vector register reads: of floats in groups and segments, of blocks and few bits a row in each lane. */
export const cpuLayout: MatrixLayout = {
  rowsOfTile: ({ dtype }) => rowsOfTile(dtype),
  runRows: ({ dtype, coded }, d) => {
    if (coded !== undefined) return maxRunRows;
    return isBlockType(dtype) ? blockRows : packing(dtype, 0, d).groupTiles * tileRows;
  },
  packedBytes: ({ dtype, coded }, out, d) => {
    if (coded !== undefined) return codedBytes(out, d, coded);
    return isBlockType(dtype)
      ? Math.ceil(out / blockRows) * blockTile(dtype, d).bytes
      : packing(dtype, out, d).bytes;
  },
  packMatrix: ({ dtype, coded }, d, rows, buffer) => {
    if (coded !== undefined) return packCoded(d, coded, rows, buffer);
    return isBlockType(dtype) ? packBlocks(dtype, d, rows, buffer) : packRows(dtype, d, rows, buffer);
  },
  quantizedBytes: ({ out, d, quantizer, rank }) =>
    Math.ceil(out / quantizedTile.rows) * quantizedTileLayout(d, quantizer, rank).bytes,
  packQuantized: packQuantizedTiles,
};
