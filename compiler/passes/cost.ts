import type { CostModel } from "../config/target.js";
import type { DeviceKind, MatrixRef, Plan } from "../ir/graph.js";
import { factorType } from "../layout/shape.js";
import type { Prediction } from "../report/prediction.js";
import { packedBytes, rowsOfTile } from "../schedule/weights-section.js";

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

/** Bytes of weights that one token reads in all linears: dense, with every gate closed, with every gate open. */
export function bytesPerToken(plan: Plan): { dense: number; fast: number; slow: number } {
  const total = { dense: 0, fast: 0, slow: 0 };
  for (const { bytes } of plan.linears.values()) {
    total.dense += bytes.dense;
    total.fast += bytes.fast;
    total.slow += bytes.slow;
  }
  return total;
}

/** Seconds of one token that reads so many bytes of weights in so many dependent kernels. */
export function predictSeconds(bytes: number, kernels: number, cost: CostModel): Prediction {
  const memory = bytes / cost.bandwidth;
  const launches = cost.launch;
  const steps = kernels * cost.step;
  return { memory, launches, steps, total: memory + launches + steps };
}
