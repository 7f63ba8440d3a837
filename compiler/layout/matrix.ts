import type { ElementType, MatrixRef } from "../ir/graph.js";
import type { DeviceKind } from "../ir/program.js";
import type { WeightSource } from "../ir/steps.js";
import { layouts } from "./devices.js";
import { factorType, shapeOf } from "./shape.js";

/** Bytes of any matrix of the bundle as a device's kernels read it. */
export function sourceBytes(device: DeviceKind, source: WeightSource): number {
  if ("quantizer" in source) return layouts[device].quantizedBytes(source);
  return matrixBytes(device, shapeOf(source));
}

/** Bytes that a token reads when it multiplies by a matrix: as it is packed for a device, padding and all. */
export function matrixBytes(
  device: DeviceKind,
  { out, d, ...type }: ElementType & Pick<MatrixRef, "out" | "d">,
): number {
  return layouts[device].packedBytes(type, out, d) + (type.ordered ? orderBytes(d) : 0);
}

/** Bytes of the order of d columns behind a matrix: the input of each, an integer of 32 bits. */
function orderBytes(d: number): number {
  return Int32Array.BYTES_PER_ELEMENT * d;
}

/** Bytes of one row of a packed matrix, which is what a look-up reads. */
export function rowBytes(device: DeviceKind, { d, ...type }: ElementType & Pick<MatrixRef, "d">): number {
  const { runRows, packedBytes } = layouts[device];
  const rows = runRows(type, d);
  return Math.ceil(packedBytes(type, rows, d) / rows);
}

/** Bytes of a packed factor [out, d] that the compiler made. */
export function factorBytes(device: DeviceKind, out: number, d: number): number {
  return matrixBytes(device, { dtype: factorType, out, d });
}
