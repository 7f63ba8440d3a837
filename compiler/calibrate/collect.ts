import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { buildRuntime, cacheFolder, compileKernels } from "../cc.js";
import type { Config } from "../config.js";
import type { CalibrationOrigin, Plan } from "../ir.js";
import type { Model } from "../model.js";
import { runTool } from "../native.js";
import { writeModelBundle } from "../pack/assemble.js";
import { isAlive } from "../pack/publish.js";
import { noFactors } from "../pack/weights.js";
import { makePlan } from "../passes/index.js";
import type { Progress } from "../progress.js";
import { type Schedule, schedule } from "../schedule/program.js";
import { type CpuTarget, calibrationTargets, type Target } from "../target.js";
import { openStats, type StatsFile } from "./stats-file.js";
import { asWindows, encodeFiles, requireTokenizer } from "./text.js";

/** Tokens that calibration runs over, and where they come from. */
export interface CalibrationTokens {
  readonly ids: Int32Array;
  readonly origin: CalibrationOrigin;
}

/** Tokens per sequence: the configured window, at most the model's context. */
export function windowOf(model: Model, config: Config): number {
  return Math.min(config.calibration.window, model.graph.context);
}

/**
 * Statistics of every linear's input: read from the configured file, taken from the cache, or collected by running
 * the dense model natively over the calibration text, or over text that it samples itself. It runs on the CPU,
 * whatever the build is for: a build needs no GPU.
 */
export async function collectStats(
  model: Model,
  config: Config,
  targets: readonly Target[],
  progress: Progress,
): Promise<{ stats: StatsFile; tokens: CalibrationTokens | null }> {
  if (config.calibration.stats !== null) {
    return { stats: await openStats(config.calibration.stats, model.fingerprint), tokens: null };
  }
  const folder = join(cacheFolder(), "stats");
  await mkdir(folder, { recursive: true });
  await removeAbandoned(folder);
  const work = await mkdtemp(join(folder, `work-${process.pid}-`));
  try {
    const dense = new DenseBundle(model, calibrationTargets(targets), work, progress);
    const tokens = await calibrationTokens(model, config, dense, work, progress);
    const key = createHash("sha256")
      .update(
        `${model.fingerprint} ${model.graph.context} ${windowOf(model, config)} ${JSON.stringify(tokens.origin)}\0`,
      )
      .update(tokens.ids)
      .update(await dense.identity())
      .digest("hex");
    const file = join(folder, `${key.slice(0, 40)}.safetensors`);
    if (!existsSync(file)) {
      const collected = join(work, "stats.safetensors");
      const bundle = await dense.path();
      const ids = join(work, "ids");
      await writeFile(ids, tokens.ids);
      const update = progress.stage(`Collecting statistics over ${tokens.ids.length} tokens`);
      const metadata = {
        model: model.fingerprint,
        origin: JSON.stringify(tokens.origin),
        tokens: tokens.ids.length,
      };
      const pairs = Object.entries(metadata).flatMap(([name, value]) => ["--meta", `${name}=${value}`]);
      const window = String(windowOf(model, config));
      await runTool(
        ["calibrate", bundle, "--ids-file", ids, "--window", window, "--out", collected, ...pairs],
        update,
      );
      await rename(collected, file);
    }
    return { stats: await openStats(file, model.fingerprint), tokens };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Removes the work folders of processes that were killed: each holds a whole model. */
async function removeAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const pid = /^work-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await rm(join(folder, name), { recursive: true, force: true });
  }
}

interface CpuCode {
  readonly target: CpuTarget;
  readonly bytes: Uint8Array;
}

/** The dense model as a bundle in a work folder, compiled and written when it is first needed. */
class DenseBundle {
  private written: Promise<string> | undefined;
  private compiled: Promise<CpuCode[]> | undefined;
  private readonly plan: Plan;
  private readonly dense: Schedule;

  constructor(
    private readonly model: Model,
    private readonly targets: readonly CpuTarget[],
    private readonly folder: string,
    private readonly progress: Progress,
  ) {
    this.plan = makePlan(model.graph, { options: { forms: ["dense"], k: [1], epsilon: [1] } });
    this.dense = schedule(this.plan, ["exact"], targets[0]!);
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

  private code(): Promise<CpuCode[]> {
    this.compiled ??= this.compile();
    return this.compiled;
  }

  private async compile(): Promise<CpuCode[]> {
    const update = this.progress.stage("Compiling the dense model");
    const { kernels } = this.dense;
    const code = [];
    for (const target of this.targets) {
      const done = code.length * kernels.length;
      const total = this.targets.length * kernels.length;
      code.push({
        target,
        bytes: await compileKernels(kernels, target, (count) => update(done + count, total)),
      });
    }
    return code;
  }

  private async write(): Promise<string> {
    const { model, plan } = this;
    const code = await this.code();
    const update = this.progress.stage("Preparing the dense model");
    const path = join(this.folder, "dense.gsi");
    const content = {
      model,
      plan,
      schedule: this.dense,
      modes: ["exact"] as const,
      code,
      factors: noFactors,
    };
    await writeModelBundle(path, content, update);
    return path;
  }
}

async function calibrationTokens(
  model: Model,
  config: Config,
  dense: DenseBundle,
  work: string,
  progress: Progress,
): Promise<CalibrationTokens> {
  const { text, tokens, seed } = config.calibration;
  const window = windowOf(model, config);
  if (text.length > 0) {
    const tokenizer = requireTokenizer(model.tokenizer, model.weights.source, "calibration text");
    const ids = encodeFiles(text, tokenizer, tokens);
    return { ids: asWindows(ids, model.tokenizer!.prefix, window), origin: { kind: "text", files: text } };
  }
  const sequences = Math.ceil(tokens / window);
  const out = join(work, "sample");
  const bundle = await dense.path();
  const update = progress.stage(`Sampling ${sequences * window} tokens from the model itself`);
  const settings = [
    "--count",
    String(sequences),
    "--tokens",
    String(window),
    "--seed",
    String(seed),
    "--temperature",
    "1",
  ];
  await runTool(["sample", bundle, ...settings, "--out", out], update);
  const bytes = await readFile(out);
  const ids = new Int32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  return { ids, origin: { kind: "sampled", seed, temperature: 1 } };
}
