import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Built } from "../build-folder/open.js";
import { type CodeObject, compileGpuKernels } from "../cc/index.js";
import { commonTarget, isTunable } from "../config/devices.js";
import { type GpuTarget, isGpu } from "../config/target.js";
import { readTarget } from "../config/targets.js";
import {
  defaultTuningFile,
  readTuningFile,
  shapeKey,
  type TunedShape,
  tuningText,
} from "../config/tuning.js";
import { programsOf } from "../ir/modes.js";
import type { Plan } from "../ir/plan.js";
import type { Kernel } from "../ir/program.js";
import type { Ceiling } from "../report/measurements.js";
import type { MeasuredCost } from "../report/tuning.js";
import { GsicError } from "../support/errors.js";
import type { Progress } from "../support/progress.js";
import { replaceFile } from "../support/replace-file.js";
import { temporaryFolder } from "../support/temporary.js";
import { version } from "../support/version.js";
import { runLaunches, type ToolMeasurements } from "./launches.js";
import { writeTuningBundle } from "./tuning-bundle.js";
import { type Variant, type Variants, variantsOf } from "./variants.js";

/** A shape, and what was found; `rule` is what a build without the file does. */
interface TuningChoice extends TunedShape {
  readonly rule: number;
}

/** What `gsic bench --tune --json` prints. */
export interface TuningMeasurements extends Ceiling {
  readonly model: string;
  readonly target: string;
  readonly device: string;
  readonly gsic: string;
  readonly repeat: number;
  readonly cold_bytes: number;
  readonly cold_short: boolean;
  /** The file that the choices were written to. */
  readonly file: string;
  /** What times are predicted with from then on; null where it could not be measured. */
  readonly cost: MeasuredCost | null;
  readonly shapes: readonly TuningChoice[];
}

/** What is tried, and where the choices are written. */
interface TuneOptions {
  /** Where the choices go; null: the file that the next build reads. */
  readonly file: string | null;
  /** Splits to try. */
  readonly splits?: readonly number[] | undefined;
  readonly repeat: number;
  readonly progress: Progress;
  /** On top of this process's own. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A choice replaces the rule's only if it takes less than this part of its time. */
const worthwhile = 0.99;

/**
 * Measures, on the device, how each shape of a build's projections is best divided, and writes that down for the next
 * build. Entries of the file for other targets and shapes stay. Throws `bench-not-gpu`, `tuning-invalid`,
 * `tuning-unwritable`, and what compiling and the device throw.
 */
export async function tune(built: Built, options: TuneOptions): Promise<TuningMeasurements> {
  requireTunable(built);
  const { progress, repeat, environment } = options;
  const targets = built.report.targets.map(readTarget).filter(isGpu);
  const target = commonTarget(targets);
  const config = built.config;
  const file =
    options.file === null
      ? (config.target.tuning ?? defaultTuningFile(config, target))
      : resolve(options.file);
  const others = existsSync(file) ? readTuningFile(file) : { shapes: [], costs: [] };
  const { plan } = await built.plan;
  const found = variantsOf(plan, programsOf(built.report), target, options.splits);
  const compiled = await compileVariants(found, targets[0]!, progress);
  const folder = await temporaryFolder("tune");
  try {
    const measured = await measure(folder, plan, found, compiled, target, {
      repeat,
      progress: progress.stage(`Measuring ${compiled.length} kernels on the device`),
      ...(environment === undefined ? {} : { environment }),
    });
    const { jobs, target: _, units: __, ...rest } = measured;
    const origin = { target: target.name, device: measured.device, gsic: version };
    const shapes = found.shapes.map(({ shape, rule }): TuningChoice => {
      const key = shapeKey(shape);
      const candidates = found.variants
        .filter((variant) => shapeKey(variant.shape) === key)
        .map(({ splits, kernel }) => candidateOf(splits, compiled, kernel, jobs));
      return { ...origin, ...shape, splits: choose(candidates, rule), rule, candidates };
    });
    const fresh = new Set(shapes.map(keyOf));
    const kept = others.shapes.filter((shape) => !fresh.has(keyOf(shape)));
    const cost = costOf(measured, origin);
    const costs = cost === null ? others.costs : withCost(others.costs, cost);
    await write(file, tuningText({ shapes: [...kept, ...shapes], costs }));
    return { model: built.report.name, ...rest, ...origin, file, cost, shapes };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What the cost model takes of a run's ceilings; null where one of them was not measured. */
function costOf(
  { read_ceiling_bytes_per_second, seconds_per_sequence, seconds_per_empty_launch }: Ceiling,
  origin: Pick<MeasuredCost, "target" | "device" | "gsic">,
): MeasuredCost | null {
  const [bandwidth, launch, step] = [
    read_ceiling_bytes_per_second,
    seconds_per_sequence,
    seconds_per_empty_launch,
  ].map((spread) => spread?.median);
  return bandwidth && launch && step ? { ...origin, bandwidth, launch, step } : null;
}

/** The costs with one of them replaced, or added. */
function withCost(costs: readonly MeasuredCost[], cost: MeasuredCost): readonly MeasuredCost[] {
  return [...costs.filter(({ target }) => target !== cost.target), cost];
}

const keyOf = (shape: TunedShape) => `${shape.target} ${shapeKey(shape)}`;

interface CompiledVariant {
  readonly variant: Variant;
  readonly object: CodeObject;
}

/** Compiles the variants; those that spill registers are left out. */
async function compileVariants(
  { variants }: Variants,
  target: GpuTarget,
  progress: Progress,
): Promise<CompiledVariant[]> {
  const update = progress.stage(`Compiling ${variants.length} kernels for ${target.name}`);
  const compiled: CompiledVariant[] = [];
  for (const [index, variant] of variants.entries()) {
    try {
      const [object] = await compileGpuKernels([variant.kernel], target);
      compiled.push({ variant, object: object! });
    } catch (error) {
      if (!(error instanceof GsicError && error.code === "kernel-spills")) throw error;
    }
    update(index + 1, variants.length);
  }
  return compiled;
}

/** Writes the variants as a bundle without weights, and measures them. */
async function measure(
  folder: string,
  plan: Plan,
  { scheduled, read }: Variants,
  compiled: readonly CompiledVariant[],
  target: GpuTarget,
  options: Parameters<typeof runLaunches>[3],
): Promise<ToolMeasurements> {
  const kernels: Kernel[] = [read, ...compiled.map(({ variant }) => variant.kernel)];
  const [reading] = await compileGpuKernels([read], target);
  const objects = [reading!, ...compiled.map(({ object }) => object)];
  const bundle = join(folder, "tuning.gsi");
  await writeTuningBundle(bundle, {
    graph: plan.graph,
    scheduled,
    kernels,
    code: { kind: "objects", target, objects },
  });
  return runLaunches(
    bundle,
    compiled.map(({ variant }) => variant.launch),
    0,
    options,
  );
}

function candidateOf(
  splits: number,
  compiled: readonly CompiledVariant[],
  kernel: Kernel,
  jobs: ToolMeasurements["jobs"],
) {
  const index = compiled.findIndex(({ variant }) => variant.kernel === kernel);
  const measured = jobs[index];
  if (measured === undefined) return { splits, seconds: null, least: null, most: null };
  const { median, least, most } = measured.cold ?? measured.cached;
  return { splits, seconds: median, least, most };
}

/** The fastest by its median; the rule's where that is about as fast. */
function choose(candidates: TunedShape["candidates"], rule: number): number {
  const timed = candidates.flatMap(({ splits, seconds }) => (seconds === null ? [] : [{ splits, seconds }]));
  const best = timed.reduce<(typeof timed)[number] | null>(
    (least, one) => (least === null || one.seconds < least.seconds ? one : least),
    null,
  );
  const ruled = timed.find(({ splits }) => splits === rule);
  if (best === null || (ruled !== undefined && best.seconds >= worthwhile * ruled.seconds)) return rule;
  return best.splits;
}

/** The file appears whole or not at all. */
function write(file: string, text: string): Promise<void> {
  return replaceFile(file, (beside) => writeFile(beside, text), {
    code: "tuning-unwritable",
    hint: "name a place that can be written: gsic bench <build> --tune FILE",
  });
}

/** Refuses a build whose kernels are not divided among waves. */
function requireTunable({ report, folder }: Built): void {
  if (isTunable(report.device)) return;
  throw new GsicError({
    category: "usage",
    code: "bench-not-gpu",
    message: "this build is for CPUs, and --tune measures how GPUs divide projections",
    where: folder,
    hint: "build it for one, e.g. gsic build <model.toml> --target mi300x; without the option, gsic bench measures CPUs",
  });
}
