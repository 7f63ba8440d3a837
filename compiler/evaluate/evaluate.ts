import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runTool } from "../cc/tool.js";
import { exactSuffix } from "../ir/forms.js";
import type { ValueId } from "../ir/graph.js";
import type { Mode } from "../ir/program.js";
import { readTensors } from "../read/safetensors-write.js";
import type { TextQuality, TierFractions, TierShares } from "../report/evaluation.js";
import { GsicError } from "../support/errors.js";
import type { Progress } from "../support/progress.js";
import { temporaryFolder } from "../support/temporary.js";
import { bootstrap } from "./bootstrap.js";

/** Measures a mode on one text; see `measureModes`. */
export async function measureText(
  bundle: string,
  mode: Mode,
  ids: Int32Array,
  window: number,
  progress: ReturnType<Progress["stage"]>,
): Promise<TextQuality> {
  const qualities = await measureModes(bundle, mode === "exact" ? [] : [mode], ids, window, progress);
  return qualities.get(mode)!;
}

/**
 * Measures programs of a bundle on one text, beside the exact one, which is measured too. `ids` are read in windows of
 * `window` tokens, each a sequence of its own. `reference` is a file for the exact one's logits, f32 [predicted tokens,
 * vocabulary]: written if it is not there, and read, in place of running it, if it is. Throws `text-too-short`
 * (category data).
 */
export async function measureModes(
  bundle: string,
  modes: readonly string[],
  ids: Int32Array,
  window: number,
  progress: ReturnType<Progress["stage"]>,
  reference: string | null = null,
): Promise<ReadonlyMap<string, TextQuality>> {
  const ranges = windowRanges(ids.length, window);
  if (ranges.length === 0) {
    throw new GsicError({
      category: "data",
      code: "text-too-short",
      message: `nothing is predicted in ${ids.length} tokens read in windows of ${window}`,
      hint: "measure on a longer text, or raise calibration.window",
    });
  }
  const folder = await temporaryFolder("eval");
  try {
    const file = join(folder, "ids");
    const out = join(folder, "tokens.safetensors");
    await writeFile(file, ids);
    const settings = ["--window", String(window), "--ids-file", file, "--out", out];
    const wanted = modes.length === 0 ? [] : ["--modes", modes.join(",")];
    const kept = reference === null ? [] : ["--reference", reference];
    await runTool(["evaluate", bundle, ...settings, ...wanted, ...kept], progress);
    return qualitiesOf(await readTensors(out), ranges, modes);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

type Tokens = Awaited<ReturnType<typeof readTensors>>;
type Ranges = readonly (readonly [begin: number, end: number])[];

function qualitiesOf(file: Tokens, ranges: Ranges, modes: readonly string[]): Map<string, TextQuality> {
  const exact = Float64Array.from(file.tensors.get("nll_exact")!.data as Float32Array);
  const names = JSON.parse(file.metadata.get("modes")!) as string[];
  const gates = JSON.parse(file.metadata.get("gates")!) as string[][];
  const row = (name: string, mode: number) => {
    const all = file.tensors.get(name)!.data as Float32Array;
    return Float64Array.from(all.subarray(mode * exact.length, (mode + 1) * exact.length));
  };
  const qualities = new Map<string, TextQuality>();
  qualities.set(
    "exact",
    qualityOf(ranges, exact, {
      nll: exact,
      kl: new Float64Array(exact.length),
      top1: new Float64Array(exact.length).fill(1),
      tiers: noTiers,
    }),
  );
  for (const mode of modes) {
    const index = names.indexOf(mode);
    const counts = Array.from(file.tensors.get(`gates:${mode}`)!.data as BigInt64Array, Number);
    const tokens = {
      nll: row("nll", index),
      kl: row("kl", index),
      top1: row("same_top1", index),
      tiers: tiersOf(gates[index]!, counts),
    };
    qualities.set(mode, qualityOf(ranges, exact, tokens));
  }
  return qualities;
}

/** What a mode did, by predicted token. */
interface Predictions {
  readonly nll: Float64Array;
  readonly kl: Float64Array;
  readonly top1: Float64Array;
  readonly tiers: TierFractions;
}

function qualityOf(ranges: Ranges, exact: Float64Array, { nll, kl, top1, tiers }: Predictions): TextQuality {
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
    tiers,
  };
}

/** Most tokens that intervals take together: of longer windows few would be drawn. */
const longestRange = 512;

/**
 * Ranges of the per-token arrays that belong to one window each, or to a part of a long one: a window's first token is
 * not predicted.
 */
export function windowRanges(length: number, window: number): [number, number][] {
  const ranges: [number, number][] = [];
  let begin = 0;
  for (let at = 0; at < length; at += window) {
    const end = begin + Math.max(0, Math.min(window, length - at) - 1);
    for (; begin < end; begin = ranges.at(-1)![1]) ranges.push([begin, Math.min(begin + longestRange, end)]);
  }
  return ranges;
}

const noTiers: TierFractions = { fast: 0, middle: 0, slow: 0, by_input: {} };

/** From the tokens that found each gate closed and open; gates are named as in ir/forms.ts. */
function tiersOf(gates: readonly string[], counts: readonly number[]): TierFractions {
  const tokens = new Map(
    gates.map((name, i) => [name, { closed: counts[2 * i]!, open: counts[2 * i + 1]! }]),
  );
  const byInput: Record<ValueId, TierShares> = {};
  for (const [name, { closed, open }] of tokens) {
    if (name.endsWith(exactSuffix)) continue;
    const all = Math.max(1, closed + open);
    const behind = tokens.get(`${name}${exactSuffix}`);
    const middle = behind?.closed ?? 0;
    byInput[name] = { fast: closed / all, middle: middle / all, slow: (behind?.open ?? open) / all };
  }
  const shares = Object.values(byInput);
  const mean = (tier: keyof TierShares) =>
    shares.reduce((sum, share) => sum + share[tier], 0) / Math.max(1, shares.length);
  return { fast: mean("fast"), middle: mean("middle"), slow: mean("slow"), by_input: byInput };
}
