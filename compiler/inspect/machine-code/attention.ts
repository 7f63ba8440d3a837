import type { GpuTarget } from "../../config/target.js";
import { attentionCut, headsTogether } from "../../emit/gpu/attention.js";
import type { AttentionNode } from "../../ir/graph.js";
import type { Kernel } from "../../ir/program.js";
import { cachedBytes } from "../../layout/cache.js";
import type { MachineCounts } from "./count.js";
import { slotSeconds } from "./predict.js";

/** A kernel's launch, and what its machine code counts. */
export interface CountedLaunch {
  readonly launch: Kernel["launch"];
  readonly counts: Pick<MachineCounts, "waits" | "slots">;
}

/** A launch that passes before a position leave out. */
export interface LateLaunch extends CountedLaunch {
  readonly from: number;
}

/** Seconds of a layer's attention, and of combining its parts: 0 where that launch is left out. */
interface AttentionTimes {
  readonly attend: number;
  readonly combine: number;
}

/**
 * What attention of one token is predicted to take behind so many others: a workgroup's round trips and instructions;
 * then those of the other workgroups of its compute unit, or the reading of keys and values, where that takes longer; and
 * combining, where there are parts. `context` is what kernels were made for.
 */
export function predictAttention(
  attention: Pick<AttentionNode, "heads" | "kvHeads" | "headDim" | "window" | "cache">,
  behind: number,
  context: number,
  kernels: { readonly attending: CountedLaunch; readonly combining: LateLaunch | null },
  target: GpuTarget,
): AttentionTimes {
  const { heads, kvHeads, headDim, cache } = attention;
  const { part, window } = attentionCut(attention, context, target.gpu);
  const oldest = Math.max(0, behind + 1 - window);
  const parts = Math.floor(behind / part) - Math.floor(oldest / part) + 1;
  const groups = parts * kvHeads * Math.ceil(heads / kvHeads / headsTogether(attention));
  const rounds = Math.ceil(groups / target.gpu.computeUnits);
  const { trips, issue } = workgroupTimes(kernels.attending, target);
  const held = kernels.attending.launch?.perUnit ?? 1;
  const reading = (2 * (behind - oldest) * kvHeads * cachedBytes(cache, headDim)) / target.cost.bandwidth;
  const others = (rounds - 1) * Math.max(issue, (trips + issue) / held);
  const attend = target.cost.step + trips + issue + Math.max(reading, others);
  if (kernels.combining === null || behind < kernels.combining.from) return { attend, combine: 0 };
  const combining = workgroupTimes(kernels.combining, target);
  return { attend, combine: target.cost.step + combining.trips + combining.issue };
}

/** Seconds of a workgroup: its round trips, and its issue slots where a compute unit holds one. */
function workgroupTimes({ launch, counts: { waits, slots } }: CountedLaunch, target: GpuTarget) {
  const waves = (launch?.threads ?? target.gpu.wave) / target.gpu.wave;
  return { trips: waits * target.gpu.latency, issue: slotSeconds(slots, waves, target) };
}
