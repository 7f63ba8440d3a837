import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readTraffic } from "../cc/mock-driver.js";
import { runTool } from "../cc/tool.js";
import type { Target } from "../config/target.js";
import { cacheTypesOf, roundsCache } from "../ir/cache.js";
import { isDense, originalGraph } from "../ir/forms.js";
import type { CacheType, Graph } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import type { ProgramMode } from "../ir/program.js";
import { mapMatrices, originalMatrix } from "../ir/rounded.js";
import type { Model } from "../models/model.js";
import { referenceLogits } from "../oracle/reference.js";
import type { FactorSource } from "../pack/weights.js";
import { readTensors } from "../read/safetensors-write.js";
import type { FormsCheck, SelfCheck, WeightReads } from "../report/self-check.js";
import type { Schedule } from "../schedule/program.js";
import type { Progress } from "../support/progress.js";
import { temporaryFolder } from "../support/temporary.js";
import { checkerFor } from "./devices.js";
import { evaluateChecked } from "./factors.js";
import { layersOf, type Packed, type Part, parametersOf, partOf, writePart } from "./layers.js";
import { compareTiles } from "./tiles.js";
import { weightReads } from "./traffic.js";

/** Above this fraction of the largest logit, a build is refused that has linears at few bits, whose kernels multiply activations of 15 to 16 bits. */
const fewBitsTolerance = 5e-4;

/**
 * The same for a cache that rounds: a number that lies in the middle between two, but for the last bits of f32, is
 * rounded to the one here and to the other by the oracle.
 */
function cacheTolerance(type: CacheType): number {
  const tolerances: Readonly<Record<CacheType, number>> = { f32: 0, f16: 5e-4, int8: 5e-3 };
  return tolerances[type];
}

/** Weights that the oracle can multiply in a few seconds, and simulated lanes in a few minutes. */
const maxWeights = 1e9;

/** What is checked. */
interface SelfCheckOptions {
  readonly bundle: string;
  /** Where the bundle's weights begin. */
  readonly weightsBegin: number;
  readonly model: Model;
  readonly plan: Plan;
  /** Asked again for what the bundle was packed from. */
  readonly factors: FactorSource;
  readonly modes: readonly ProgramMode[];
  readonly targets: readonly Target[];
  /** What the kernels are shaped by. */
  readonly shapedBy: Target;
  readonly scheduled: Schedule;
  readonly progress: Progress;
  /** Weights above which a part of the model is compared. */
  readonly most?: number;
}

/** Bytes that the check of a build takes on its disk, while it lasts. */
export function roomForCheck(options: Pick<SelfCheckOptions, PartOptions>): number {
  return checkedPart(options)?.scheduled.weights.bytes ?? 0;
}

type PartOptions = "plan" | "scheduled" | "modes" | "shapedBy" | "most";

/** The part of a large model that is compared; null where all of it is. */
function checkedPart({
  plan,
  scheduled,
  modes,
  shapedBy,
  most = maxWeights,
}: Pick<SelfCheckOptions, PartOptions>): Part | null {
  return parametersOf(plan.graph) > most ? partOf(plan, scheduled, modes, shapedBy, most) : null;
}

/**
 * Compares a bundle's logits with the float64 oracle's on a few tokens; a wrong build is a defect, and not published.
 * Kernels of GPUs are simulated: a build needs no device. Of a model that is too large for that, the first layers are
 * compared, with their weights from the bundle, and some tiles of every matrix with what they were packed from.
 */
export async function selfCheck(options: SelfCheckOptions): Promise<SelfCheck> {
  const { bundle, weightsBegin, model, plan, modes, targets, scheduled, progress } = options;
  const layers = layersOf(plan.graph);
  const whole = { layers: { compared: layers, of: layers }, kernels_not_compared: [], tiles_compared: 0 };
  const part = checkedPart(options);
  const packed = { bundle, begin: weightsBegin, weights: scheduled.weights };
  if (part === null) return { ...(await compareLogits({ ...options, graph: plan.graph, packed })), ...whole };
  const tiles = await compareTiles(
    packed,
    model.weights,
    progress.stage("Comparing packed weights with the stored ones"),
  );
  const file = `${bundle}.part`;
  try {
    progress.stage(`Taking ${part.layers} of ${layers} layers for a check`);
    await writePart(file, part, packed, model, modes, targets);
    const compared = await compareLogits({
      ...options,
      bundle: file,
      graph: part.plan.graph,
      scheduled: part.scheduled,
      packed: null,
    });
    return {
      ...compared,
      layers: { compared: part.layers, of: layers },
      kernels_not_compared: part.without,
      tiles_compared: tiles,
    };
  } finally {
    await rm(file, { force: true });
  }
}

/** What a comparison of logits finds. */
type Comparison = Omit<SelfCheck, "layers" | "kernels_not_compared" | "tiles_compared">;

async function compareLogits(
  options: Omit<SelfCheckOptions, "shapedBy"> & {
    readonly graph: Graph;
    /** Where the forms of the plan can be compared as well. */
    readonly packed: Packed | null;
  },
): Promise<Comparison> {
  const { bundle, model, graph, modes, targets, scheduled, progress, packed } = options;
  const checker = checkerFor(targets[0]!);
  const count = Math.min(parametersOf(graph) > 2e7 ? 3 : 19, graph.context);
  // A fixed walk through the vocabulary: as good as any text, and needs no tokenizer.
  const ids = Array.from({ length: count }, (_, i) => (7 + i * 7919) % graph.vocabulary);
  const folder = await temporaryFolder("check");
  try {
    const file = join(folder, "ids");
    await writeFile(file, Int32Array.from(ids));
    const accounting = await checker.prepare(scheduled, progress);
    const checking = progress.stage("Checking the build against the float64 oracle");
    const expected = referenceLogits(originalGraph(graph), model.weights, ids, checking);
    const found = new Map<ProgramMode, Float32Array>();
    const reads: Partial<Record<ProgramMode, WeightReads>> = {};
    for (const mode of modes) {
      const out = join(folder, `${mode}.safetensors`);
      const account = join(folder, `${mode}.json`);
      const args = ["logits", bundle, "--mode", mode, "--ids-file", file, "--out", out];
      await runTool(args, checking, accounting?.(account));
      found.set(mode, (await readTensors(out)).tensors.get("logits")!.data as Float32Array);
      if (accounting !== null) reads[mode] = weightReads(scheduled, mode, await readTraffic(account));
    }
    const exactError = relativeError(found.get("exact")!, expected);
    if (!(exactError <= checker.tolerance)) {
      throw new Error(
        `self-check failed: logits differ from the oracle's by ${exactError} of the largest logit`,
      );
    }
    const other = modes.find((mode) => mode !== "exact");
    const logits = other === undefined ? null : found.get(other)!;
    return {
      tokens: count,
      computed_by: checker.by,
      exactError,
      otherError: logits && relativeError(logits, expected),
      forms: logits && packed && (await compareForms({ ...options, packed }, ids, logits, expected)),
      weight_reads: accounting && reads,
      skipped: null,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Compares another mode's logits with the oracle of the plan; `expected` are those of the dense oracle. */
async function compareForms(
  options: Pick<SelfCheckOptions, "model" | "plan" | "factors" | "targets" | "progress"> & {
    readonly packed: Packed;
  },
  ids: readonly number[],
  logits: Float32Array,
  expected: Float64Array,
): Promise<FormsCheck> {
  const { model, plan, factors, targets, packed, progress } = options;
  const checking = progress.stage("Checking the rewritten linears against their float64 oracle");
  const most = toleranceOf({ plan, model, targets }, ids, expected);
  const settings = { tolerance: most, progress: checking };
  const oracle = isDense(plan)
    ? { logits: expected, certain: ids.length, matrices: 0 }
    : await evaluateChecked(plan, model, ids, factors, packed, settings);
  const { certain: tokens, matrices } = oracle;
  if (tokens === 0) return { tokens, error: null, matrices };
  const end = tokens * plan.graph.vocabulary;
  const error = relativeError(logits.subarray(0, end), oracle.logits.subarray(0, end));
  if (!(error <= most)) {
    throw new Error(
      `self-check failed: logits of rewritten linears differ from their oracle's by ${error} of the largest logit`,
    );
  }
  return { tokens, error, matrices };
}

/**
 * The fraction of the largest logit by which a plan may differ from its oracle. Where activations are rounded and the
 * cache rounds, too, many of its numbers fall to the neighbour of the oracle's: then as much again is allowed as the
 * cache's rounding changes by itself, twice. `expected` are the dense oracle's logits.
 */
function toleranceOf(
  { plan, model, targets }: Pick<SelfCheckOptions, "model" | "plan" | "targets">,
  ids: readonly number[],
  expected: Float64Array,
): number {
  const dense = checkerFor(targets[0]!).tolerance;
  const fewBits = [...plan.linears.values()].some(({ form }) => form.tier !== null);
  if (!fewBits) return Math.max(dense, ...cacheTypesOf(plan.graph).map(cacheTolerance));
  const most = Math.max(dense, fewBitsTolerance);
  if (!roundsCache(plan.graph)) return most;
  const rounded = referenceLogits(mapMatrices(plan.graph, originalMatrix), model.weights, ids);
  return most + 2 * relativeError(rounded, expected);
}

/** max |a - b| / max |b|. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let difference = a.length === b.length ? 0 : Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < b.length; i++) {
    const distance = Math.abs(a[i]! - b[i]!);
    if (!(distance <= difference)) difference = Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance;
    largest = Math.max(largest, Math.abs(b[i]!));
  }
  return difference / largest;
}
