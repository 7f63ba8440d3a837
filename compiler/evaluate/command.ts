import { heldoutWindow } from "../calibrate/collect.js";
import { asWindows, encodeFiles, heldoutParts, refuseOverlap, requireTokenizer } from "../calibrate/text.js";
import type { Config } from "../config/config.js";
import { isDenseForm } from "../ir/forms.js";
import { programOf } from "../ir/modes.js";
import type { Mode } from "../ir/program.js";
import type { Model } from "../models/model.js";
import { leastGain } from "../passes/cost.js";
import type { Evaluation, TextQuality, TierShares } from "../report/evaluation.js";
import type { Report } from "../report/report.js";
import { GsicError } from "../support/errors.js";
import type { Progress } from "../support/progress.js";
import { equationSixOf, meanBytesPerToken } from "./account.js";
import { measureText } from "./evaluate.js";

/** What to measure a build on. */
interface EvaluateOptions {
  readonly bundle: string;
  readonly report: Report;
  readonly config: Config;
  readonly model: Model;
  readonly mode: Mode;
  /** Measures this text instead of the configured held-out text. */
  readonly text?: string | undefined;
  readonly progress: Progress;
}

/**
 * Measures a build on held-out text and, beside it, on its calibration text. Of the configured held-out texts the
 * second halves are measured: the first are the planner's to validate on. Throws `heldout-overlap` if the texts overlap.
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { config, model, mode, bundle, progress, report } = options;
  const tokenizer = requireTokenizer(model.tokenizer, model.weights.source, "evaluation");
  const window = heldoutWindow(model, config);
  const prefix = model.tokenizer!.prefix;
  const files = options.text === undefined ? config.heldout.text : [options.text];
  if (files.length === 0) {
    throw new GsicError({
      category: "usage",
      code: "heldout-missing",
      message: "there is no held-out text to measure on",
      where: `${config.file}: heldout.text`,
      hint: 'add [heldout] text = ["heldout.txt"], or give --text FILE',
    });
  }
  const parts = heldoutParts(files, tokenizer, config.heldout.tokens);
  const all = Int32Array.from([...parts.validation, ...parts.quoted]);
  const quoted = options.text === undefined ? parts.quoted : all;
  const { text, tokens } = config.calibration;
  const seen = text.length === 0 ? null : encodeFiles(text, tokenizer, tokens);
  if (seen !== null) refuseOverlap(seen, all, tokenizer, files.join(", "));
  const measure = (ids: Int32Array, title: string) =>
    measureText(bundle, programOf(mode), asWindows(ids, prefix, window), window, progress.stage(title));
  const heldout = await measure(quoted, "Measuring on held-out text");
  const calibration =
    seen === null ? null : await measure(seen.subarray(0, quoted.length), "Measuring on calibration text");
  const maxKl = report.search === null ? config.quality.maxKl : report.search.max_kl;
  return {
    mode,
    heldout,
    calibration,
    ...accountOf(mode, report, heldout),
    tiers: { heldout: sharesOf(heldout), calibration: calibration && sharesOf(calibration) },
    equation_six: equationsSix(options, heldout, calibration),
    max_kl: maxKl,
    within_max_kl: maxKl === null ? null : heldout.kl.value <= maxKl,
    planned: report.search !== null,
  };
}

function sharesOf({ tiers: { fast, middle, slow } }: TextQuality): TierShares {
  return { fast, middle, slow };
}

function equationsSix(
  { report, model }: EvaluateOptions,
  heldout: TextQuality,
  calibration: TextQuality | null,
): Evaluation["equation_six"] {
  const of = ({ tiers }: TextQuality) => equationSixOf(report.linears, model.graph, tiers.by_input);
  const held = of(heldout);
  return held && { heldout: held, calibration: calibration && of(calibration) };
}

function accountOf(
  mode: Mode,
  report: Report,
  heldout: TextQuality,
): Pick<Evaluation, "bytes_per_token" | "pays" | "verdict"> {
  const { dense, fast } = report.bytes_per_token;
  const mean = mode === "exact" ? dense : meanBytesPerToken(report.linears, heldout.tiers.by_input);
  const pays = mean / dense < 1 - leastGain;
  return {
    bytes_per_token: { dense, plan_fast: mode === "exact" ? dense : fast, plan_mean: mean },
    pays,
    verdict: `${mode === "lossless" ? losslessNote : ""}${verdictOf(mode, report, heldout, mean / dense)}`,
  };
}

const losslessNote =
  "Lossless mode writes what exact mode does; these figures are those of the plan that drafts, and top-1 agreement is how many of its tokens stand. ";

function verdictOf(mode: Mode, report: Report, { tiers }: TextQuality, ratio: number): string {
  const { cache } = report;
  const isDense = report.linears.every(({ form }) => isDenseForm(form)) && ratio === 1;
  if (mode === "exact" || (isDense && cache.types.every((type) => type === "f32")))
    return "The build is dense: it computes what the model computes, and reads what the model reads.";
  if (isDense) {
    const share = (100 * cache.bytes_per_position) / cache.dense_bytes_per_position;
    return `All linears are dense; of the KV cache a token reads ${share.toFixed(1)} % of the dense bytes.`;
  }
  const read = `reads ${(ratio * 100).toFixed(1)} % of the dense bytes`;
  const gates = Object.keys(tiers.by_input).length;
  const closed = `${(tiers.fast * 100).toFixed(1)} % of gates are closed on held-out text`;
  if (ratio < 1 - leastGain) return `The plan ${read}${gates === 0 ? "" : `: ${closed}`}.`;
  return `The plan does not pay: it ${read}${gates === 0 ? "" : `, since only ${closed}`}.`;
}
