import type { GpuTarget } from "../config/target.js";
import { shapeKey } from "../config/tuning.js";
import type { Plan } from "../ir/plan.js";
import type { Kernel, ProgramMode } from "../ir/program.js";
import type { ListedLaunch } from "../report/program-json.js";
import type { ProjectionShape } from "../report/tuning.js";
import { type Schedule, schedule } from "../schedule/program.js";
import { type MeasuredLaunch, measuredLaunch } from "./jobs.js";

/** Waves that may share a tile: what a division chooses from. */
const allSplits = [1, 2, 4, 8, 16] as const;

/** A kernel with one of its shapes divided in a certain way. */
export interface Variant {
  readonly shape: ProjectionShape;
  readonly splits: number;
  readonly kernel: Kernel;
  readonly launch: MeasuredLaunch;
}

/** The shapes of a plan's projections, what the rule says of each, and the kernels that can be compared. */
export interface Variants {
  /** By the rule, without what was measured before. */
  readonly scheduled: Schedule;
  /** The kernel that measures the read ceiling. */
  readonly read: Kernel;
  readonly shapes: readonly { readonly shape: ProjectionShape; readonly rule: number }[];
  readonly variants: readonly Variant[];
}

/**
 * For every distinct shape, the kernel that a step launches most often with it, once for each number of splits. What
 * else the kernel multiplies stays as the rule has it. `splits` narrows what is tried beside the rule.
 */
export function variantsOf(
  plan: Plan,
  modes: readonly ProgramMode[],
  target: GpuTarget,
  splits: readonly number[] = allSplits,
): Variants {
  const ruled = { ...target, gpu: { ...target.gpu, tuned: undefined } };
  const scheduled = schedule(plan, modes, ruled);
  const launches = launchesOf(scheduled, modes);
  const shapes = new Map<string, { shape: ProjectionShape; rule: number }>();
  for (const { type, out, d, matrices, splits: rule } of scheduled.divisions.flat()) {
    const shape = { type, out, d, matrices };
    if (!shapes.has(shapeKey(shape))) shapes.set(shapeKey(shape), { shape, rule });
  }
  const { wavesPerWorkgroup: waves } = target.gpu;
  const possible = splits.filter((one) => one <= waves && waves % one === 0);
  const variants = [...shapes].flatMap(([key, { shape, rule }]) => {
    const tried = [...new Set([...possible, rule])].sort((a, b) => a - b);
    const place = maxLaunched(scheduled, launches, key);
    return tried.map((one): Variant => {
      const divided = schedule(plan, modes, {
        ...target,
        gpu: { ...target.gpu, tuned: new Map([[key, one]]) },
      });
      return { shape, splits: one, ...variantAt(divided, modes, place, key, one) };
    });
  });
  return {
    scheduled,
    read: scheduled.kernels.find(({ template }) => template === "read")!,
    shapes: [...shapes.values()],
    variants,
  };
}

interface PlacedLaunch {
  readonly kernel: number;
  readonly listed: ListedLaunch;
}

/** Every launch of every mode, in order: a division changes none of them. */
function launchesOf({ programs, listings }: Schedule, modes: readonly ProgramMode[]): PlacedLaunch[] {
  return modes.flatMap((mode) => {
    const [program, listing] = [programs[mode]!, listings[mode]!];
    const listed = [...listing.body, ...listing.head];
    return [...program.body, ...program.head].map(({ kernel }, index) => ({
      kernel,
      listed: listed[index]!,
    }));
  });
}

/** The place of the first launch of the kernel that has most launches among those with a shape. */
function maxLaunched({ divisions }: Schedule, launches: readonly PlacedLaunch[], key: string): number {
  const has = ({ kernel }: PlacedLaunch) => divisions[kernel]!.some((division) => shapeKey(division) === key);
  const counts = new Map<number, number>();
  for (const launch of launches.filter(has)) counts.set(launch.kernel, (counts.get(launch.kernel) ?? 0) + 1);
  const [best] = [...counts].sort(([, a], [, b]) => b - a)[0]!;
  return launches.findIndex(({ kernel }) => kernel === best);
}

/** The kernel at a place under its own name, and its launch with the shape's tier taken. */
function variantAt(
  divided: Schedule,
  modes: readonly ProgramMode[],
  place: number,
  key: string,
  splits: number,
) {
  const { kernel: index, listed } = launchesOf(divided, modes)[place]!;
  const kernel = divided.kernels[index]!;
  const { tier } = divided.divisions[index]!.find((division) => shapeKey(division) === key)!;
  const gate = tier === null ? null : tier === "fast" ? "closed" : "open";
  const symbol = `${kernel.symbol}_${key.replace(/[^a-z0-9]+/g, "_")}_splits_${splits}`;
  const source = kernel.source.replace(`GSIC_KERNEL(${kernel.symbol},`, `GSIC_KERNEL(${symbol},`);
  return {
    kernel: { ...kernel, symbol, source },
    launch: measuredLaunch({ ...listed, kernel: symbol }, kernel.template, gate),
  };
}
