import type { CostModel } from "../config/target.js";
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

/** Below this share of its bytes or of its time, a model does not profit from being rewritten. */
export const leastGain = 0.03;
