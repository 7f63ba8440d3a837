import type { MatrixLayout } from "./matrix-layout.js";
import { packPlanes, tilePlanes } from "./planes.js";
import { packQuantizedPlanes, quantizedTile } from "./quantized-planes.js";
import { tileRows } from "./tiles.js";

const tilesOf = (out: number) => Math.ceil(out / tileRows);

/** Tiles of four rows, within them planes of sixteen bytes a lane. */
export const gpuLayout: MatrixLayout = {
  rowsOfTile: () => tileRows,
  runRows: () => tileRows,
  packedBytes: ({ dtype }, out, d) => tilesOf(out) * tilePlanes(dtype, d).bytes,
  packMatrix: ({ dtype }, d, rows, buffer) => packPlanes(dtype, d, rows, buffer),
  quantizedBytes: (shape) => tilesOf(shape.out) * quantizedTile(shape).bytes,
  packQuantized: packQuantizedPlanes,
};
