import type { GpuTarget } from "../../config/target.js";
import type { Kernel } from "../../ir/program.js";
import { clocks, issueSeconds, simds } from "../../passes/cost.js";
import type { MachineCounts, MemoryLoop, WeightLoop } from "./count.js";

/** The parts of a launch's predicted time, in seconds. */
export interface LaunchPrediction {
  /** Until a kernel begins that depends on the one before. */
  readonly gap: number;
  /** Round trips and instructions before the first weights are asked for. */
  readonly before: number;
  /** What the memory waits for the kernel, with the first weights on their way: their reading covers the rest. */
  readonly idle: number;
  /** Reading weights from memory. */
  readonly memory: number;
  /** Issuing vector and matrix instructions. */
  readonly issue: number;
  /** Round trips behind the first weights in which none are on the way. */
  readonly after: number;
  readonly total: number;
}

/** Vector and matrix instructions per weight of a loop. */
export function instructionsPerWeight({ vector, matrix, weights }: WeightLoop): number {
  return weights === 0 ? 0 : (vector + matrix) / weights;
}

/** Seconds in which the waves of a workgroup, alone on its compute unit, issue so many slots each. */
export function slotSeconds(slots: number, waves: number, { gpu }: GpuTarget): number {
  return (slots * clocks * Math.ceil(waves / simds)) / gpu.clock;
}

/** What a turn of a loop takes that each of so many waves of a workgroup runs: its round trips, or its issue slots. */
export function turnSeconds({ waits, slots }: MemoryLoop, waves: number, target: GpuTarget): number {
  return Math.max(waits * target.gpu.latency, slotSeconds(slots, waves, target));
}

/** What a launch for one column is predicted to take, that reads so many bytes of weights. */
export function predictLaunch(
  { first, waits, waitsBehind, weightLoops }: MachineCounts,
  launch: Kernel["launch"],
  bytes: number,
  target: GpuTarget,
): LaunchPrediction {
  const { cost, gpu } = target;
  const { threads, maxWorkgroups, perUnit } = launch ?? { threads: gpu.wave, maxWorkgroups: 1, perUnit: 1 };
  const takes = (trips: number, slots: number) =>
    trips * gpu.latency + slotSeconds(slots, threads / gpu.wave, target);
  const memory = bytes / cost.bandwidth;
  const perByte = ({ weights, bytes: streamed }: WeightLoop) => (streamed === 0 ? 0 : weights / streamed);
  const slowest = Math.max(0, ...weightLoops.map((one) => instructionsPerWeight(one) * perByte(one)));
  const issue = issueSeconds(bytes, slowest, target);
  const before = first === null ? 0 : takes(first.before, first.slotsBefore);
  // Until the first weights are multiplied, no others are asked for.
  const workgroups = Math.min(maxWorkgroups, perUnit * gpu.computeUnits);
  const asked = Math.min(bytes, (first?.bytes ?? 0) * threads * workgroups);
  const meanwhile = first === null ? 0 : takes(first.meanwhile, first.slotsMeanwhile);
  const idle = Math.max(0, meanwhile - asked / cost.bandwidth);
  const after = (first === null ? waits : waitsBehind) * gpu.latency;
  const total = cost.step + before + Math.max(memory + idle, issue) + after;
  return { gap: cost.step, before, idle, memory, issue, after, total };
}
