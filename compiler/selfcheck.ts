import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type WeightReads, weightReads } from "./account.js";
import type { Kernel, Mode } from "./ir.js";
import type { Model } from "./model.js";
import { runTool } from "./native.js";
import type { Progress } from "./progress.js";
import { readTensors } from "./read/safetensors-write.js";
import { referenceLogits } from "./reference.js";
import type { Schedule } from "./schedule/program.js";
import { readTraffic, standinEnvironment } from "./standin.js";
import { type GpuTarget, isGpu, type Target } from "./target.js";

/** How far a build's logits are from the oracle's. */
export interface SelfCheck {
  readonly tokens: number;
  /** What computed the logits: the CPU, or the GPU's kernels, compiled for the CPU and run lane by lane. */
  readonly computed_by: "cpu" | "simulation";
  /** Largest absolute difference of a logit in exact mode, as a fraction of the largest logit. */
  readonly exactError: number | null;
  /** The same distance of another mode from the oracle; not a defect, since that mode approximates. */
  readonly otherError: number | null;
  /** Weights that simulated kernels read, by mode; null on CPUs. */
  readonly weight_reads: Readonly<Partial<Record<Mode, WeightReads>>> | null;
  /** Why nothing was compared, if nothing was. */
  readonly skipped: string | null;
}

/** Above this fraction of the largest logit, a build is refused; kernels of GPUs may round activations. */
export const tolerance = { cpu: 1e-4, simulation: 1e-3 } as const;

/** Weights that the oracle can multiply in a few seconds, and simulated lanes in a few minutes. */
const largestModel = 1e9;

/** What is checked. */
export interface SelfCheckOptions {
  readonly bundle: string;
  readonly model: Model;
  readonly modes: readonly Mode[];
  readonly targets: readonly Target[];
  readonly scheduled: Schedule;
  readonly progress: Progress;
}

/**
 * Compares a bundle's logits with the float64 oracle's on a few tokens; a wrong build is a defect, and not published.
 * Kernels of GPUs are simulated: a build needs no device.
 */
export async function selfCheck(options: SelfCheckOptions): Promise<SelfCheck> {
  const { bundle, model, modes, targets, scheduled, progress } = options;
  const { graph } = model;
  const gpu = targets.find(isGpu);
  const by = gpu === undefined ? "cpu" : "simulation";
  const nothing = { computed_by: by, exactError: null, otherError: null, weight_reads: null } as const;
  const parameters = parametersOf(model);
  if (parameters > largestModel) {
    const skipped = `${(parameters / 1e9).toFixed(1)} billion weights are too many for the oracle`;
    return { ...nothing, tokens: 0, skipped };
  }
  const count = Math.min(parameters > 2e7 ? 3 : 19, graph.context);
  // A fixed walk through the vocabulary: as good as any text, and needs no tokenizer.
  const ids = Array.from({ length: count }, (_, i) => (7 + i * 7919) % graph.vocabulary);
  const folder = await mkdtemp(join(tmpdir(), "gsic-check-"));
  try {
    const file = join(folder, "ids");
    await writeFile(file, Int32Array.from(ids));
    const standin = gpu && (await simulated(scheduled.kernels, gpu, progress));
    const checking = progress.stage("Checking the build against the float64 oracle");
    const expected = referenceLogits(graph, model.weights, ids, checking);
    const errors = new Map<Mode, number>();
    const reads: Partial<Record<Mode, WeightReads>> = {};
    for (const mode of modes) {
      const out = join(folder, `${mode}.safetensors`);
      const account = join(folder, `${mode}.json`);
      const args = ["logits", bundle, "--mode", mode, "--ids-file", file, "--out", out];
      await runTool(args, checking, standin?.(account));
      const logits = (await readTensors(out)).tensors.get("logits")!.data as Float32Array;
      errors.set(mode, relativeError(logits, expected));
      if (gpu !== undefined) reads[mode] = weightReads(scheduled, mode, await readTraffic(account));
    }
    const exactError = errors.get("exact")!;
    if (!(exactError <= tolerance[by])) {
      throw new Error(
        `self-check failed: logits differ from the oracle's by ${exactError} of the largest logit`,
      );
    }
    const other = modes.find((mode) => mode !== "exact");
    return {
      tokens: count,
      computed_by: by,
      exactError,
      otherError: other ? errors.get(other)! : null,
      weight_reads: gpu === undefined ? null : reads,
      skipped: null,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The environment of a run on simulated lanes, given where to write what they read. */
async function simulated(kernels: readonly Kernel[], target: GpuTarget, progress: Progress) {
  const update = progress.stage(`Compiling ${kernels.length} kernels for a simulation of ${target.name}`);
  return standinEnvironment(kernels, target.gpu.wave, (done) => update(done, kernels.length));
}

/** Weights in all linears. */
function parametersOf({ graph }: Model): number {
  return graph.nodes.reduce(
    (sum, node) => (node.kind === "linear" ? sum + node.weight.out * node.weight.d : sum),
    0,
  );
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
