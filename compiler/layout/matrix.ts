import type { DType, MatrixRef } from "../ir/graph.js";
import type { DeviceKind } from "../ir/program.js";
import type { WeightSource } from "../ir/steps.js";
import { blockRows, blockTile, isBlockType, packBlocks } from "./blocks.js";
import { packPlanes, tilePlanes } from "./planes.js";
import { quantizedBytes } from "./quantized.js";
import { factorType, shapeOf } from "./shape.js";
import { packing, packRows, tileRows } from "./tiles.js";

/**
 * Packs whole rows as they are stored for a device's kernels; all but a matrix's last ones are whole runs
 * (schedule/weights-section.ts). The result lies at the front of `buffer` where that is given and large enough, else in new
 * memory.
 */
export function packMatrix(
  device: DeviceKind,
  dtype: DType,
  d: number,
  rows: Uint8Array,
  buffer?: Uint8Array,
): Uint8Array {
  if (device !== "cpu") return packPlanes(dtype, d, rows, buffer);
  return isBlockType(dtype) ? packBlocks(dtype, d, rows, buffer) : packRows(dtype, d, rows, buffer);
}

/** Bytes of a matrix as a device's kernels read it. */
export function packedBytes(device: DeviceKind, dtype: DType, out: number, d: number): number {
  const tiles = Math.ceil(out / rowsOfTile(device, dtype));
  if (device !== "cpu") return tiles * tilePlanes(dtype, d).bytes;
  return isBlockType(dtype) ? tiles * blockTile(dtype, d).bytes : packing(dtype, out, d).bytes;
}

/** Rows of a tile of a stored type. */
export function rowsOfTile(device: DeviceKind, dtype: DType): number {
  return device === "cpu" && isBlockType(dtype) ? blockRows : tileRows;
}

/** Bytes of any matrix of the bundle as a device's kernels read it. */
export function sourceBytes(device: DeviceKind, source: WeightSource): number {
  if ("quantizer" in source) return quantizedBytes(device, source);
  const { dtype, out, d } = shapeOf(source);
  return packedBytes(device, dtype, out, d);
}

/** Rows of a run that is packed by itself: what a device's kernels read of a matrix is its runs, one after another. */
export function runRows(device: DeviceKind, dtype: DType, d: number): number {
  const tile = rowsOfTile(device, dtype);
  return device === "cpu" && !isBlockType(dtype) ? packing(dtype, 0, d).groupTiles * tile : tile;
}

/** Bytes that a token reads when it multiplies by a matrix: as it is packed for a device, padding and all. */
export function matrixBytes(
  { dtype, out, d }: Pick<MatrixRef, "dtype" | "out" | "d">,
  device: DeviceKind = "cpu",
): number {
  return packedBytes(device, dtype, out, d);
}

/** Bytes of one row of a packed matrix, which is what a look-up reads. */
export function rowBytes({ dtype, d }: Pick<MatrixRef, "dtype" | "d">, device: DeviceKind = "cpu"): number {
  const rows = rowsOfTile(device, dtype);
  return packedBytes(device, dtype, rows, d) / rows;
}

/** Bytes of a packed factor [out, d] that the compiler made. */
export function factorBytes(out: number, d: number, device: DeviceKind = "cpu"): number {
  return matrixBytes({ dtype: factorType, out, d }, device);
}
