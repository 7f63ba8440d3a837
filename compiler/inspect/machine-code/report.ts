import type { Built } from "../../build-folder/open.js";
import { type GpuTarget, isGpu } from "../../config/target.js";
import { readTarget } from "../../config/targets.js";
import { withMeasuredCost } from "../../config/tuning.js";
import { attentionNodes, withCache } from "../../ir/cache.js";
import type { AttentionNode, Graph } from "../../ir/graph.js";
import type { ListedLaunch, ProgramJson } from "../../report/program-json.js";
import { GsicError } from "../../support/errors.js";
import { predictAttention } from "./attention.js";
import type { MachineCounts } from "./count.js";
import { countKernels, readKernels } from "./kernels.js";
import { instructionsPerWeight, type LaunchPrediction, predictLaunch } from "./predict.js";

/** What one column runs through in a kernel's machine code, and what its launch is predicted to take. */
export interface CountedKernel {
  readonly symbol: string;
  /** Of its slowest loop over weights; null of kernels that read none. */
  readonly vector_per_weight: number | null;
  readonly matrix_per_weight: number | null;
  /** Round trips to memory, one after the other, before the first weight is on its way, and in all. */
  readonly waits_before_weights: number | null;
  readonly waits: number;
  /** Round trips of a turn of each other loop that waits for memory. */
  readonly waits_of_loops: readonly number[];
  readonly barriers: number;
  /** Bytes of weights that a compute unit has on the way, at most. */
  readonly bytes_in_flight: number;
  /** Workgroups that a compute unit holds at once, where there are as many. */
  readonly workgroups_per_unit: number;
  /** Bytes of weights that a launch reads with every gate closed. */
  readonly weight_bytes: number;
  /** Seconds. */
  readonly prediction: LaunchPrediction;
}

/** The counts of a target's kernels, or why there are none. */
export type MachineCode =
  | {
      readonly target: string;
      readonly kernels: readonly CountedKernel[];
      /** Predicted seconds of a token by mode that has a program, with every gate closed and no other before it. */
      readonly seconds_per_token: Readonly<Record<string, number>>;
      /** The same behind so many tokens, where the context has room for them. */
      readonly behind: readonly {
        readonly tokens: number;
        readonly seconds_per_token: Readonly<Record<string, number>>;
      }[];
    }
  | { readonly target: string; readonly problem: string };

/** Tokens that a predicted one is behind. */
const lengths = [128, 4096, 32768];

/** Counts the machine code of a build for AMD's GPUs, target by target. */
export async function machineCodeOf(built: Built): Promise<readonly MachineCode[]> {
  const found: MachineCode[] = [];
  for (const name of built.report.targets) {
    const target = withMeasuredCost(readTarget(name), built.report.tuning?.cost ?? null);
    if (isGpu(target)) found.push(await countsFor(built, target));
  }
  return found;
}

async function countsFor(built: Built, target: GpuTarget): Promise<MachineCode> {
  const { name } = target;
  const { folder, program } = built;
  if (target.device !== "hip")
    return { target: name, problem: "the driver makes machine code of PTX when it loads the model" };
  try {
    const kernels = await readKernels(folder, program.kernels);
    const counts = await countKernels(kernels, target);
    const found = kernels.map((kernel) => counted(kernel, counts, program, target));
    const { graph } = (await built.plan).plan;
    const passes = { kernels: found, counts, program, graph, target };
    const behind = lengths
      .filter((tokens) => tokens < graph.context)
      .map((tokens) => ({ tokens, seconds_per_token: secondsBehind(passes, tokens) }));
    return { target: name, kernels: found, seconds_per_token: secondsBehind(passes, 0), behind };
  } catch (cause) {
    // What a machine lacks to look inside does not keep the rest from being shown.
    if (cause instanceof GsicError && cause.category === "environment")
      return { target: name, problem: cause.message };
    throw cause;
  }
}

function counted(
  { symbol, launch }: ProgramJson["kernels"][number],
  all: ReadonlyMap<string, MachineCounts>,
  program: ProgramJson,
  target: GpuTarget,
): CountedKernel {
  const counts = all.get(symbol)!;
  const bytes = weightBytes(program, symbol);
  const { threads = 0, perUnit = 0, maxWorkgroups = 0 } = launch ?? {};
  const held = Math.max(1, Math.min(perUnit, Math.ceil(maxWorkgroups / target.gpu.computeUnits)));
  const slowest = [...counts.weightLoops].sort(
    (a, b) => instructionsPerWeight(b) - instructionsPerWeight(a),
  )[0];
  return {
    symbol,
    vector_per_weight: slowest ? slowest.vector / slowest.weights : null,
    matrix_per_weight: slowest ? slowest.matrix / slowest.weights : null,
    waits_before_weights: counts.first?.before ?? null,
    waits: counts.waits,
    waits_of_loops: counts.memoryLoops.map(({ waits }) => waits),
    barriers: counts.barriers,
    bytes_in_flight: counts.inFlight * threads * held,
    workgroups_per_unit: perUnit,
    weight_bytes: bytes,
    prediction: predictLaunch(counts, launch, bytes, target),
  };
}

/** What the passes of a build are, and what was counted of their kernels. */
interface CountedPasses {
  readonly kernels: readonly CountedKernel[];
  readonly counts: ReadonlyMap<string, MachineCounts>;
  readonly program: ProgramJson;
  readonly graph: Graph;
  readonly target: GpuTarget;
}

/** Predicted seconds of a token behind so many others, by mode that has a program. */
function secondsBehind(passes: CountedPasses, tokens: number): Record<string, number> {
  const { program, graph, target } = passes;
  const seconds = Object.entries(program.modes).map(([mode, { body, head }]) => {
    const layers = attentionNodes(mode === "bounded" ? graph : withCache(graph, "f32"));
    const launches = [...body, ...head];
    const each = launches.map((launch) => launchSeconds(launch, launches, layers, tokens, passes));
    return [mode, each.reduce((sum, one) => sum + one, target.cost.launch)] as const;
  });
  return Object.fromEntries(seconds);
}

/** Predicted seconds of a launch; attention's hold what combines its parts. */
function launchSeconds(
  { kernel, layer }: ListedLaunch,
  launches: readonly ListedLaunch[],
  layers: readonly AttentionNode[],
  tokens: number,
  { kernels, counts, program, graph, target }: CountedPasses,
): number {
  const known = (symbol: string) => program.kernels.find((one) => one.symbol === symbol)!;
  const counted = (symbol: string) => ({ launch: known(symbol).launch, counts: counts.get(symbol)! });
  switch (known(kernel).template) {
    case "combine":
      return 0;
    case "attend": {
      const combining = launches.find(
        (one) => one.layer === layer && known(one.kernel).template === "combine",
      );
      const pair = {
        attending: counted(kernel),
        combining:
          combining === undefined ? null : { ...counted(combining.kernel), from: combining.from ?? 0 },
      };
      const { attend, combine } = predictAttention(layers[layer!]!, tokens, graph.context, pair, target);
      return attend + combine;
    }
    default:
      return kernels.find(({ symbol }) => symbol === kernel)!.prediction.total;
  }
}

/** Bytes of matrices that the first launch of a kernel reads with every gate closed: of each linear its cheapest tier's. */
function weightBytes({ modes }: ProgramJson, symbol: string): number {
  const launches = Object.values(modes).flatMap(({ body, head }) => [...body, ...head]);
  const launch = launches.find(({ kernel }) => kernel === symbol);
  const of = (tier: string) => sumOf(launch, tier);
  return of("image") || of("quantized") || of("weight");
}

function sumOf(launch: ListedLaunch | undefined, tier: string): number {
  const matrices = launch?.arguments.filter(({ rows }) => rows?.tier === tier) ?? [];
  return matrices.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
}
