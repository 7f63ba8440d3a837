import type { GpuTarget } from "../../config/target.js";
import { clocks, issueSeconds, simds } from "../../passes/cost.js";
import type { MachineCounts, MemoryLoop, WeightLoop } from "./count.js";

/** The parts of a launch's predicted time, in seconds. */
export interface LaunchPrediction {
  /** Until a kernel begins that depends on the one before. */
  readonly gap: number;
  /** Round trips before the first weight is on its way. */
  readonly before: number;
  /** Reading weights from memory. */
  readonly memory: number;
  /** Issuing vector and matrix instructions. */
  readonly issue: number;
  /** Round trips behind the first weight, those of the loops over weights left out: other waves cover them. */
  readonly after: number;
  readonly total: number;
}

/** Vector and matrix instructions per weight of a loop. */
export function instructionsPerWeight({ vector, matrix, weights }: WeightLoop): number {
  return weights === 0 ? 0 : (vector + matrix) / weights;
}

/** What a turn of a loop takes that each of so many waves of a workgroup runs: its round trips, or its issue slots. */
export function turnSeconds({ waits, slots }: MemoryLoop, waves: number, { gpu }: GpuTarget): number {
  return Math.max(waits * gpu.latency, (slots * clocks * Math.ceil(waves / simds)) / gpu.clock);
}

/** What a launch for one column is predicted to take, that reads so many bytes of weights. */
export function predictLaunch(counts: MachineCounts, bytes: number, target: GpuTarget): LaunchPrediction {
  const { cost, gpu } = target;
  const before = (counts.waitsBefore ?? 0) * gpu.latency;
  const memory = bytes / cost.bandwidth;
  const perByte = ({ weights, bytes: streamed }: WeightLoop) => (streamed === 0 ? 0 : weights / streamed);
  const slowest = Math.max(0, ...counts.weightLoops.map((one) => instructionsPerWeight(one) * perByte(one)));
  const issue = issueSeconds(bytes, slowest, target);
  const looped = Math.max(0, ...counts.weightLoops.map((one) => one.waits));
  const after = Math.max(0, counts.waits - (counts.waitsBefore ?? 0) - looped) * gpu.latency;
  const total = cost.step + before + Math.max(memory, issue) + after;
  return { gap: cost.step, before, memory, issue, after, total };
}
