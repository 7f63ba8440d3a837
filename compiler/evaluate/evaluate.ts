import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GsicError } from "../errors.js";
import type { Mode, ValueId } from "../ir.js";
import { runTool } from "../native.js";
import type { Progress } from "../progress.js";
import { readTensors } from "../read/safetensors-write.js";
import { bootstrap, type Estimate } from "./bootstrap.js";

/** How a build predicts one text, next to the dense model. Intervals are 95 %, over windows of the text. */
export interface TextQuality {
  readonly tokens: number;
  readonly perplexity: Estimate;
  readonly dense_perplexity: Estimate;
  readonly perplexity_ratio: Estimate;
  /** Mean KL(dense || build), nats per token. */
  readonly kl: Estimate;
  /** Fraction of tokens whose most likely successor is the dense model's. */
  readonly top1: Estimate;
  /** Fraction of tokens with a closed gate, by linear input, and over all. */
  readonly tiers: { readonly fast: number; readonly by_input: Readonly<Record<ValueId, number>> };
}

/** What `gsic eval` measures. `heldout` is the part of the held-out text that nothing was chosen by. */
export interface Evaluation {
  readonly mode: Mode;
  readonly heldout: TextQuality | null;
  readonly calibration: TextQuality | null;
  /** Bytes of weights per token in all linears: dense, all gates closed, and the mean over held-out text. */
  readonly bytes_per_token: {
    readonly dense: number;
    readonly plan_fast: number;
    readonly plan_mean: number;
  };
  /** The configured budget for held-out KL, nats per token. */
  readonly max_kl: number | null;
  readonly pays: boolean;
  readonly verdict: string;
}

/** Measures one text. `ids` are read in windows of `window` tokens, each a sequence of its own. */
export async function measureText(
  bundle: string,
  mode: Mode,
  ids: Int32Array,
  window: number,
  progress: ReturnType<Progress["stage"]>,
): Promise<TextQuality> {
  if (windowRanges(ids.length, window).length === 0) {
    throw new GsicError({
      category: "data",
      code: "text-too-short",
      message: `nothing is predicted in ${ids.length} tokens read in windows of ${window}`,
      hint: "measure on a longer text, or raise calibration.window",
    });
  }
  const folder = await mkdtemp(join(tmpdir(), "gsic-eval-"));
  try {
    const file = join(folder, "ids");
    const out = join(folder, "tokens.safetensors");
    await writeFile(file, ids);
    const settings = ["--mode", mode, "--window", String(window), "--ids-file", file, "--out", out];
    await runTool(["evaluate", bundle, ...settings], progress);
    return qualityOf(await readTensors(out), mode, ids.length, window);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

type Tokens = Awaited<ReturnType<typeof readTensors>>;

function qualityOf(file: Tokens, mode: Mode, length: number, window: number): TextQuality {
  const column = (name: string) => Float64Array.from(file.tensors.get(name)!.data as Float32Array);
  const exact = column("nll_exact");
  const same = mode === "exact";
  const nll = same ? exact : column("nll_mode");
  const kl = same ? new Float64Array(exact.length) : column("kl");
  const top1 = same ? new Float64Array(exact.length).fill(1) : column("same_top1");
  const ranges = windowRanges(length, window);
  const meanOf = (values: Float64Array) => {
    const sums = ranges.map(([begin, end]) => values.subarray(begin, end).reduce((a, b) => a + b, 0));
    return (drawn: readonly number[]) => {
      let total = 0;
      let count = 0;
      for (const one of drawn) {
        total += sums[one]!;
        count += ranges[one]![1] - ranges[one]![0];
      }
      return total / count;
    };
  };
  const [meanExact, meanMode] = [meanOf(exact), meanOf(nll)];
  const estimate = (statistic: (drawn: readonly number[]) => number) => bootstrap(ranges.length, statistic);
  return {
    tokens: exact.length,
    perplexity: estimate((drawn) => Math.exp(meanMode(drawn))),
    dense_perplexity: estimate((drawn) => Math.exp(meanExact(drawn))),
    perplexity_ratio: estimate((drawn) => Math.exp(meanMode(drawn) - meanExact(drawn))),
    kl: estimate(meanOf(kl)),
    top1: estimate(meanOf(top1)),
    tiers: tiersOf(file),
  };
}

/** Ranges of the per-token arrays that belong to one window each: its first token is not predicted. */
function windowRanges(length: number, window: number): [number, number][] {
  const ranges: [number, number][] = [];
  let begin = 0;
  for (let at = 0; at < length; at += window) {
    const predicted = Math.min(window, length - at) - 1;
    if (predicted > 0) ranges.push([begin, begin + predicted]);
    begin += Math.max(0, predicted);
  }
  return ranges;
}

/** Tensor `tiers` [inputs, 2]: tokens with a closed and with an open gate; metadata `tier_inputs` names the inputs. */
function tiersOf({ tensors, metadata }: Tokens): TextQuality["tiers"] {
  const counts = Array.from((tensors.get("tiers")?.data ?? []) as BigInt64Array, Number);
  const inputs = JSON.parse(metadata.get("tier_inputs") ?? "[]") as ValueId[];
  let closed = 0;
  const byInput: Record<ValueId, number> = {};
  inputs.forEach((input, i) => {
    const [fast, slow] = [counts[2 * i]!, counts[2 * i + 1]!];
    byInput[input] = fast / (fast + slow);
    closed += fast;
  });
  const all = counts.reduce((sum, count) => sum + count, 0);
  return { fast: all === 0 ? 0 : closed / all, by_input: byInput };
}
