import { createHash } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { basename, dirname, join } from "node:path";
import { compileForCpus, writeWorkBundle } from "../calibrate/work-bundle.js";
import { contentHash } from "../cc/cache.js";
import { buildRuntime } from "../cc/index.js";
import { runnableTargets } from "../cc/machine.js";
import { runTool } from "../cc/tool.js";
import { firstLayers } from "../check/layers.js";
import type { Config } from "../config/config.js";
import type { CpuTarget, Target } from "../config/target.js";
import type { Graph, MatrixRef } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import { mapMatrices } from "../ir/rounded.js";
import { linearById } from "../ir/walk.js";
import { withCodedWeights } from "../models/coded.js";
import type { Model } from "../models/model.js";
import { noFactors } from "../pack/weights.js";
import { makePlan } from "../passes/index.js";
import type { Spread } from "../report/measurements.js";
import type { StorageReport } from "../report/storage.js";
import { scheduleAll } from "../schedule/program.js";
import { makeCacheFolder } from "../support/cache-folder.js";
import { GsicError } from "../support/errors.js";
import { cacheFolder, templatesFolder } from "../support/paths.js";
import type { Progress } from "../support/progress.js";
import { replaceFile } from "../support/replace-file.js";
import { didYouMean } from "../support/suggest.js";
import { temporaryFolder } from "../support/temporary.js";

/** What packing must gain, by the medians, where it replaces what is stored: less may be chance on a busy machine. */
const leastGain = 1.05;
/** How packing is measured. */
interface StorageTiming {
  /** Turns of each way. */
  readonly repeat: number;
  /** Where measurements are kept. */
  readonly folder: string;
}

/** As builds measure. */
const usual = (): StorageTiming => ({ repeat: 15, folder: join(cacheFolder(), "storage") });

type Calls = StorageReport["calls"];

/** Rows and columns of a matrix, as model.toml names them. */
function shapeOf({ out, d }: Pick<MatrixRef, "out" | "d">): string {
  return `${out}x${d}`;
}

/**
 * The model with its weights kept as the configuration says; the report where that was measured, else null. Throws
 * `storage-shape-unknown` (category usage).
 */
export async function withStorage(
  model: Model,
  config: Config,
  targets: readonly Target[],
  progress: Progress,
  timing: StorageTiming = usual(),
): Promise<{ model: Model; storage: StorageReport | null }> {
  const { storage } = config.model;
  if (storage === "stored") return { model, storage: null };
  if (targets[0]!.device !== "cpu") {
    progress.warn("weights are packed for CPUs alone: this build keeps them as they are stored");
    return { model, storage: null };
  }
  if (Array.isArray(storage)) requireShapes(model.graph, storage, config);
  const update = progress.stage("Looking for what packing saves");
  const coded = withCodedWeights(model.graph, model.weights, update);
  if (shapesOf(coded).coded.size === 0) progress.warn(nothingPacked);
  if (storage === "packed") return { model: { ...model, graph: coded }, storage: null };
  if (storage !== "auto") return { model: { ...model, graph: packedOnly(coded, storage) }, storage: null };
  const { graph, report } = await chooseStorage(model, coded, targets, progress, timing);
  return { model: { ...model, graph }, storage: report };
}

const nothingPacked =
  "no weights are packed: they are of no matrix of bf16, or take no fewer bytes so; they are kept as they are stored";

/** The shapes of a graph's matrices, and of those that are packed. */
function shapesOf(graph: Graph): { readonly all: Set<string>; readonly coded: Set<string> } {
  const [all, coded] = [new Set<string>(), new Set<string>()];
  mapMatrices(graph, (matrix) => {
    all.add(shapeOf(matrix));
    if (matrix.coded !== undefined) coded.add(shapeOf(matrix));
    return matrix;
  });
  return { all, coded };
}

/** Throws `storage-shape-unknown` (category usage) where no matrix has a shape that model.toml names. */
function requireShapes(graph: Graph, named: readonly string[], { file }: Config): void {
  const all = [...shapesOf(graph).all];
  const unknown = named.find((shape) => !all.includes(shape));
  if (unknown === undefined) return;
  throw new GsicError({
    category: "usage",
    code: "storage-shape-unknown",
    message: `the model has no matrix of ${unknown}`,
    where: `${file}: model.storage`,
    hint: `${didYouMean(unknown, all)}its matrices are of: ${all.join(", ")}`,
  });
}

/** The graph with those matrices packed, of those that are packed in `coded`, whose shape is among `shapes`. */
function packedOnly(coded: Graph, shapes: readonly string[]): Graph {
  return mapMatrices(coded, (matrix) => {
    const { coded: room, ...stored } = matrix;
    return room === undefined || shapes.includes(shapeOf(matrix)) ? matrix : stored;
  });
}

/**
 * Chooses by measurement which matrices of a model are packed: `coded` is its graph with all that can be. A shape is packed
 * where every call of linears in which it occurs gains by it. Both ways give the same bits. What was measured is kept in
 * the cache, by CPU, target, threads and shapes, so that a build on the same machine is the same again.
 */
async function chooseStorage(
  model: Model,
  coded: Graph,
  targets: readonly Target[],
  progress: Progress,
  timing: StorageTiming,
): Promise<{ graph: Graph; report: StorageReport }> {
  const none: StorageReport = { measured: null, packed: [], calls: [] };
  const target = (await runnableTargets()).find(({ name }) => name === targets[0]!.name);
  if (target === undefined) {
    progress.warn(`${targets[0]!.name} does not run here: weights are kept as they are stored`);
    return { graph: model.graph, report: none };
  }
  const plans = { stored: planOf(model.graph), packed: planOf(coded) };
  if (callsOf(plans.packed).length === 0) return { graph: model.graph, report: none };
  const measured = { cpu: cpus()[0]?.model ?? "unknown", threads: cpus().length, target: target.name };
  const file = join(timing.folder, `${await keyOf(measured, plans.packed)}.json`);
  const calls = await keptCalls(file, () => measureCalls(model, plans, target, timing.repeat, progress));
  const packed = shapesThatGain(calls);
  return { graph: packedOnly(coded, packed), report: { measured, packed, calls } };
}

/** The dense plan of a model's first layer, or of all where there is no shorter one: other layers have the same shapes. */
function planOf(graph: Graph): Plan {
  const plan = makePlan(graph, { options: { forms: ["dense"], k: [1], epsilon: [1], bits: [8], rank: [0] } });
  return firstLayers(plan, 1) ?? plan;
}

/** Calls of linears by their input: the shapes of those of their matrices that can be packed, and rooms for rare weights. */
function callsOf({ graph, groups }: Plan) {
  return groups.flatMap(({ input, linears }) => {
    const matrices = linears
      .map((id) => linearById(graph, id).weight)
      .filter(({ coded }) => coded !== undefined);
    if (matrices.length === 0) return [];
    return [{ input, shapes: matrices.map(shapeOf), rooms: matrices.map(({ coded }) => coded!) }];
  });
}

/** What stands for all that a measurement depends on. */
async function keyOf(measured: NonNullable<StorageReport["measured"]>, plan: Plan): Promise<string> {
  const calls = callsOf(plan).map(({ shapes, rooms }) => [shapes, rooms]);
  const code = await contentHash([templatesFolder], [".h", ".hbs"]);
  const parts = JSON.stringify([measured, calls, code, basename(await buildRuntime("tool"))]);
  return createHash("sha256").update(parts).digest("hex").slice(0, 40);
}

/** What was measured before, or is now. A file that is no JSON counts as none. */
async function keptCalls(file: string, measure: () => Promise<Calls>): Promise<Calls> {
  const kept = await readFile(file, "utf8")
    .then((text) => JSON.parse(text) as Calls)
    .catch(() => null);
  if (kept !== null) return kept;
  const calls = await measure();
  await makeCacheFolder(dirname(file));
  await replaceFile(file, (beside) => writeFile(beside, `${JSON.stringify(calls)}\n`), {
    code: "cache-unwritable",
    hint: "set GSIC_CACHE to a folder that can be written",
  });
  return calls;
}

/** Times every distinct call of linears in both ways, by turns. */
async function measureCalls(
  model: Model,
  plans: { readonly stored: Plan; readonly packed: Plan },
  target: CpuTarget,
  repeat: number,
  progress: Progress,
): Promise<Calls> {
  const variants = Object.entries(plans).map(([name, plan]) => ({ name, plan }));
  const schedule = scheduleAll(variants, target, { linears: true });
  const title = `Compiling ${schedule.kernels.length} kernels to time packed weights with`;
  const code = await compileForCpus(schedule, [target], title, progress);
  const folder = await temporaryFolder("storage");
  try {
    const bundle = join(folder, "storage.gsi");
    const content = { model, graph: plans.packed.graph, schedule, code, factors: noFactors };
    await writeWorkBundle(bundle, content, progress.stage("Packing weights to time them"));
    const update = progress.stage("Timing packed and stored weights by turns");
    const args = ["calls", bundle, "--modes", "stored,packed", "--repeat", String(repeat)];
    const found = JSON.parse(await runTool(args, update)) as {
      readonly calls: readonly { readonly input: string; readonly seconds: readonly [Spread, Spread] }[];
    };
    const shapes = new Map(callsOf(plans.packed).map((call) => [call.input, call]));
    return found.calls.flatMap(({ input, seconds: [stored, packed] }) => {
      const call = shapes.get(input);
      if (call === undefined) return [];
      return [{ shapes: call.shapes, stored_seconds: stored.median, packed_seconds: packed.median }];
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Shapes whose calls all gain clearly. */
export function shapesThatGain(calls: Calls): string[] {
  const gains = ({ stored_seconds: stored, packed_seconds: packed }: Calls[number]) =>
    stored >= leastGain * packed;
  const kept = new Set(calls.filter((call) => !gains(call)).flatMap(({ shapes }) => shapes));
  const all = new Set(calls.flatMap(({ shapes }) => shapes));
  return [...all].filter((shape) => !kept.has(shape)).sort();
}
