import { blockSizes, type DType, type MatrixRef, type Plan } from "./ir.js";

/** The type in which factors that the compiler makes (bases, images) are kept. */
export const factorType = "f16" satisfies DType;

/** Bytes of a matrix as it is stored, which is what a token that multiplies by it reads. */
export function matrixBytes({ dtype, out, d }: Pick<MatrixRef, "dtype" | "out" | "d">): number {
  const block = blockSizes[dtype];
  return (out * d * block.bytes) / block.elements;
}

/** Bytes of a factor [out, d] that the compiler made. */
export function factorBytes(out: number, d: number): number {
  return matrixBytes({ dtype: factorType, out, d });
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

/** Seconds of one token on a target: bytes over bandwidth, and a fixed cost per dependent launch. */
export function predictSeconds(
  bytes: number,
  launches: number,
  target: { bandwidth: number; step: number },
): number {
  return bytes / target.bandwidth + launches * target.step;
}
