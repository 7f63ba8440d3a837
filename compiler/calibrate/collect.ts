import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { buildRuntime, type LibraryCode } from "../cc/index.js";
import { calibrationTarget } from "../cc/machine.js";
import { runTool } from "../cc/tool.js";
import { type Config, isConfigured } from "../config/config.js";
import type { CpuTarget, Target } from "../config/target.js";
import type { Graph } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import type { CalibrationOrigin } from "../ir/statistics.js";
import type { Model } from "../models/model.js";
import { noFactors } from "../pack/weights.js";
import { makePlan } from "../passes/index.js";
import { type Schedule, schedule } from "../schedule/program.js";
import { makeCacheFolder } from "../support/cache-folder.js";
import { cacheFolder } from "../support/paths.js";
import { isAlive } from "../support/process.js";
import type { Progress } from "../support/progress.js";
import { size } from "../support/text.js";
import { neededRanks, tooFew } from "./factors.js";
import { openStats, type StatsFile } from "./stats-file.js";
import { asWindows, encodeFiles, requireTokenizer } from "./text.js";
import { compileForCpus, writeWorkBundle } from "./work-bundle.js";

/** Tokens that calibration runs over, and where they come from. */
export interface CalibrationTokens {
  readonly ids: Int32Array;
  readonly origin: CalibrationOrigin;
}

/** Tokens per sequence: the configured window, at most the model's context. */
export function windowOf(model: Model, config: Config): number {
  return Math.min(config.calibration.window, model.graph.context);
}

/** Tokens that stand before others at least where what is measured depends on how much of the cache is read. */
const longWindow = 2048;

/** Tokens of a window of held-out text: longer ones where the cache may round, since few positions flatter it. */
export function heldoutWindow(model: Model, config: Config): number {
  if (config.plan.kv === "f32") return windowOf(model, config);
  return Math.min(Math.max(config.calibration.window, longWindow), model.graph.context);
}

/** Columns of a sketch: four times the k that most plans use. */
const sketchWidth = 1024;

/**
 * Statistics of every linear's input: read from the configured file, taken from the cache, or collected by running
 * the dense model natively over the calibration text, or over text that it samples itself. It runs on the CPU,
 * whatever the build is for: a build needs no GPU. `plan` says what the statistics are for; without it, the
 * configuration does. Throws `stats-too-few` before anything is compiled.
 */
export async function collectStats(
  model: Model,
  config: Config,
  targets: readonly Target[],
  progress: Progress,
  plan?: Plan,
): Promise<{ stats: StatsFile; tokens: CalibrationTokens | null }> {
  if (config.calibration.stats !== null) {
    return { stats: await openStats(config.calibration.stats, model.fingerprint), tokens: null };
  }
  const folder = await makeCacheFolder(join(cacheFolder(), "stats"));
  await removeAbandoned(folder);
  const work = await mkdtemp(join(folder, `work-${process.pid}-`));
  try {
    const k = largestK(config, plan);
    const window = windowOf(model, config);
    const dense = new DenseBundle(model, window, await calibrationTarget(targets), work, progress);
    const tokens = await calibrationTokens(model, config, k, dense, work, progress);
    const width = Math.max(sketchWidth, 4 * k);
    const key = createHash("sha256")
      .update(`${model.fingerprint} ${window} ${width} ${JSON.stringify(tokens.origin)}\0`)
      .update(tokens.ids)
      .update(await dense.identity())
      .digest("hex");
    const file = join(folder, `${key.slice(0, 40)}.safetensors`);
    if (!existsSync(file)) {
      const ids = join(work, "ids");
      await writeFile(ids, tokens.ids);
      const metadata = {
        model: model.fingerprint,
        origin: JSON.stringify(tokens.origin),
        tokens: tokens.ids.length,
      };
      const args = [
        "calibrate",
        await dense.path(),
        "--ids-file",
        ids,
        "--window",
        String(window),
        "--sketch-width",
        String(width),
        "--out",
        file,
        "--resume",
        "1",
        ...Object.entries(metadata).flatMap(([name, value]) => ["--meta", `${name}=${value}`]),
      ];
      const needs = JSON.parse(await runTool([...args, "--describe", "1"])) as Needs;
      await runTool(args, progress.stage(titleOf(tokens.ids.length, needs)));
    }
    return { stats: await openStats(file, model.fingerprint), tokens };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** What `gsic-tool calibrate --describe` prints. */
interface Needs {
  readonly passes: number;
  readonly statistics_bytes: number;
  readonly session_bytes: number;
}

/** Says what calibration takes before it begins; the weights are mapped from disk, and take what memory is free. */
function titleOf(tokens: number, needs: Needs): string {
  const memory = size(needs.statistics_bytes + needs.session_bytes);
  const passes = needs.passes === 1 ? "" : `, ${needs.passes} times`;
  return `Collecting statistics over ${tokens} tokens${passes} (${memory})`;
}

/** The most directions that any basis will have. */
function largestK(config: Config, plan: Plan | undefined): number {
  if (plan !== undefined) return Math.max(1, ...neededRanks(plan).map(({ k }) => k));
  return isConfigured(config.plan) && config.plan.forms[0] !== "dense" ? config.plan.k[0]! : 1;
}

/** Removes the work folders of processes that were killed: each holds a whole model. */
async function removeAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const pid = /^work-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await rm(join(folder, name), { recursive: true, force: true });
  }
}

/** The dense model as a bundle in a work folder, compiled and written when it is first needed. */
class DenseBundle {
  private written: Promise<string> | undefined;
  private compiled: Promise<LibraryCode[]> | undefined;
  private readonly graph: Graph;
  private readonly dense: Schedule;

  /** The context is only as long as calibration's sequences: the session's memory grows with it. */
  constructor(
    private readonly model: Model,
    context: number,
    private readonly target: CpuTarget,
    private readonly folder: string,
    private readonly progress: Progress,
  ) {
    this.graph = { ...model.graph, context };
    const options = { forms: ["dense" as const], k: [1], epsilon: [1] };
    const plan = makePlan(this.graph, { options });
    this.dense = schedule(plan, ["exact"], target);
  }

  /** Hash of the machine code that computes the statistics: other code sums in another order. */
  async identity(): Promise<string> {
    const hash = createHash("sha256").update(basename(await buildRuntime("tool")));
    for (const { bytes } of await this.code()) hash.update(bytes);
    return hash.digest("hex");
  }

  path(): Promise<string> {
    this.written ??= this.write();
    return this.written;
  }

  private code(): Promise<LibraryCode[]> {
    this.compiled ??= this.compile();
    return this.compiled;
  }

  private compile(): Promise<LibraryCode[]> {
    return compileForCpus(this.dense, [this.target], "Compiling the dense model", this.progress);
  }

  private async write(): Promise<string> {
    const { model, graph, dense: schedule } = this;
    const code = await this.code();
    const update = this.progress.stage("Preparing the dense model");
    const path = join(this.folder, "dense.gsi");
    await writeWorkBundle(path, { model, graph, schedule, code, factors: noFactors }, update);
    return path;
  }
}

async function calibrationTokens(
  model: Model,
  config: Config,
  k: number,
  dense: DenseBundle,
  work: string,
  progress: Progress,
): Promise<CalibrationTokens> {
  const { text, tokens, seed } = config.calibration;
  const window = windowOf(model, config);
  const requireRank = (count: number) => {
    const hint = "raise calibration.tokens, or lower plan.k";
    if (count < k) throw tooFew(k, `${count} tokens`, `${config.file}: calibration`, hint);
  };
  if (text.length > 0) {
    const tokenizer = requireTokenizer(model.tokenizer, model.weights.source, "calibration text");
    const ids = asWindows(encodeFiles(text, tokenizer, tokens), model.tokenizer!.prefix, window);
    requireRank(ids.length);
    return { ids, origin: { kind: "text", files: text } };
  }
  const sequences = Math.ceil(tokens / window);
  requireRank(sequences * window);
  const out = join(work, "sample");
  const bundle = await dense.path();
  const update = progress.stage(`Sampling ${sequences * window} tokens from the model itself`);
  const settings = { count: sequences, tokens: window, seed, temperature: 1 };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  await runTool(["sample", bundle, ...args, "--out", out], update);
  const bytes = await readFile(out);
  const ids = new Int32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  return { ids, origin: { kind: "sampled", seed, temperature: 1 } };
}
