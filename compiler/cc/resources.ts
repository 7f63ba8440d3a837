import type { GpuTarget } from "../config/target.js";
import type { ResourceFacts } from "../report/resources.js";
import { GsicError } from "../support/errors.js";

const remarks: Readonly<Record<keyof ResourceFacts, string>> = {
  vgprs: "VGPRs",
  agprs: "AGPRs",
  sgprs: "(?:Total)?SGPRs",
  lds: "LDS Size \\[bytes/block\\]",
  occupancy: "Occupancy \\[waves/SIMD\\]",
  scratch: "ScratchSize \\[bytes/lane\\]",
  vgprSpills: "VGPRs Spill",
  sgprSpills: "SGPRs Spill",
};

/**
 * Reads the remarks of `-Rpass-analysis=kernel-resource-usage` on one kernel. Throws if a figure is missing: a clang
 * that words them otherwise must not pass for one without spills.
 */
export function parseResources(messages: string, symbol: string): ResourceFacts {
  const begin = messages.search(new RegExp(`remark: +Function Name: ${symbol}(?![\\w])`));
  const next = messages.slice(begin + 1).search(/remark: +Function Name: /);
  const text = messages.slice(begin, next < 0 ? undefined : begin + 1 + next);
  const figure = ([field, words]: [string, string]) => {
    const value = begin < 0 ? undefined : new RegExp(`remark: +${words}: (\\d+)`).exec(text)?.[1];
    if (value === undefined) throw new Error(`the compiler does not report ${field} of kernel ${symbol}`);
    return [field, Number(value)];
  };
  return Object.fromEntries(Object.entries(remarks).map(figure)) as unknown as ResourceFacts;
}

/**
 * Refuses a kernel whose lanes keep registers in memory: it would read its own spills at the speed of its weights.
 * Throws `kernel-spills` (category defect: gsic chose the kernel's shape).
 */
export function refuseSpills(symbol: string, facts: ResourceFacts, target: GpuTarget): void {
  if (facts.vgprSpills === 0 && facts.scratch === 0) return;
  const { vgprs, vgprSpills, scratch } = facts;
  const waves = target.gpu.wavesPerWorkgroup;
  throw new GsicError({
    category: "defect",
    code: "kernel-spills",
    message: `kernel ${symbol} does not fit into the registers of ${target.name}: with ${vgprs} VGPRs it spills ${vgprSpills} and takes ${scratch} bytes of scratch memory a lane`,
    where: `${symbol}.cpp`,
    hint: `please report it; until then lower gpu.waves_per_workgroup (now ${waves}) in targets/${target.name}.toml, which leaves each lane more registers`,
  });
}
