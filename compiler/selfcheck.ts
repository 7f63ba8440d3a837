import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { matrixBytes } from "./cost.js";
import type { Mode } from "./ir.js";
import type { Model } from "./model.js";
import { runTool } from "./native.js";
import { readTensors } from "./read/safetensors-write.js";
import { referenceLogits } from "./reference.js";

/** How far a build's logits are from the oracle's. */
export interface SelfCheck {
  readonly tokens: number;
  /** Largest absolute difference of a logit in exact mode, as a fraction of the largest logit. */
  readonly exactError: number | null;
  /** The same distance of another mode from the oracle; not a defect, since that mode approximates. */
  readonly otherError: number | null;
  /** Why nothing was compared, if nothing was. */
  readonly skipped: string | null;
}

/** Above this fraction of the largest logit, a build is refused. */
export const tolerance = 1e-4;

/** Weights that the oracle can multiply in a few seconds. */
const largestModel = 1e9;

/** Compares a bundle's logits with the float64 oracle's on a few tokens; a wrong build is a defect, and not published. */
export async function selfCheck(
  bundle: string,
  model: Model,
  modes: readonly Mode[],
  context: number,
  progress: (done: number, total: number) => void = () => {},
): Promise<SelfCheck> {
  const { graph } = model;
  const parameters = graph.nodes.reduce(
    (sum, node) => (node.kind === "linear" ? sum + matrixBytes({ ...node.weight, dtype: "f32" }) / 4 : sum),
    0,
  );
  if (parameters > largestModel) {
    const skipped = `${(parameters / 1e9).toFixed(1)} billion weights are too many for the oracle`;
    return { tokens: 0, exactError: null, otherError: null, skipped };
  }
  const count = Math.min(parameters > 2e7 ? 3 : 19, context);
  // A fixed walk through the vocabulary: as good as any text, and needs no tokenizer.
  const ids = Array.from({ length: count }, (_, i) => (7 + i * 7919) % graph.vocabulary);
  const folder = await mkdtemp(join(tmpdir(), "gsic-check-"));
  try {
    const file = join(folder, "ids");
    await writeFile(file, Int32Array.from(ids));
    const expected = referenceLogits(graph, model.weights, ids, progress);
    const errors = new Map<Mode, number>();
    for (const mode of modes) {
      const out = join(folder, `${mode}.safetensors`);
      await runTool(["logits", bundle, "--mode", mode, "--ids-file", file, "--out", out]);
      errors.set(
        mode,
        relativeError((await readTensors(out)).tensors.get("logits")!.data as Float32Array, expected),
      );
    }
    const exactError = errors.get("exact")!;
    if (!(exactError <= tolerance)) {
      throw new Error(
        `self-check failed: logits differ from the oracle's by ${exactError} of the largest logit`,
      );
    }
    const other = modes.find((mode) => mode !== "exact");
    return { tokens: count, exactError, otherError: other ? errors.get(other)! : null, skipped: null };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
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
