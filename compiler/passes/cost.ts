import { type CostModel, type GpuTarget, isGpu, type Target } from "../config/target.js";
import type { Plan } from "../ir/plan.js";
import type { Prediction } from "../report/prediction.js";

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

/** SIMDs of a compute unit. */
export const simds = 4;
/** Clocks in which a SIMD takes an instruction of a wave. */
export const clocks = 4;

/** Seconds in which a GPU issues `perWeight` vector and matrix instructions for each of so many weights. */
export function issueSeconds(weights: number, perWeight: number, { gpu }: GpuTarget): number {
  return ((weights / gpu.wave) * perWeight * clocks) / (gpu.computeUnits * simds) / gpu.clock;
}

/**
 * What reading so many bytes of weights amounts to where their arithmetic takes longer: as many bytes as are read
 * meanwhile. Targets that do not say how many instructions a type takes, and CPUs, hide the arithmetic.
 */
export function bytesWithIssue(bytes: number, type: string, weights: number, target: Target): number {
  if (!isGpu(target)) return bytes;
  const issue = issueSeconds(weights, target.gpu.instructions.get(type) ?? 0, target);
  return Math.max(bytes, issue * target.cost.bandwidth);
}

/** Below this share of its bytes or of its time, a model does not profit from being rewritten. */
export const leastGain = 0.03;
