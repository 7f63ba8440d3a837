import { meanBytes } from "../evaluate/account.js";
import { formText, isDenseForm } from "../ir/forms.js";
import type { ValueId } from "../ir/graph.js";
import type { LinearPlan, Plan } from "../ir/plan.js";
import { leastGain } from "../passes/cost.js";
import type { ActivationSurvey, Rejection, SearchReport } from "../report/search.js";
import { type CachesMeasured, cacheReport } from "./cache-options.js";
import type { Decision, FrontierPoint, Judged } from "./frontier.js";
import { klText } from "./kl-text.js";
import { draftingGain, measuredPart, type Objective } from "./objective.js";
import { type RoundedAt, type RoundedPlan, roundedAt } from "./rounding.js";
import type { Search } from "./search.js";
import type { GroupEffects } from "./sensitivity.js";

/** The chosen plan, every linear with its reason; the dense plan where the chosen one gains too little. */
export function withVerdicts(found: Search, objective: Objective, decisions: readonly Decision[]): Plan {
  const point = worthwhile(found, objective);
  const linears = new Map<ValueId, LinearPlan>(point.plan.linears);
  decisions.forEach(({ group }, index) => {
    const [chosen, all] = [point.chosen[index]!, found.judged[index]!];
    group.linears.forEach((id, number) => {
      const linear = linears.get(id)!;
      const share = point.predictedKl === 0 ? 0 : chosen.divergences[number]! / point.predictedKl;
      const read = meanBytes(linear.bytes, chosen.shares) / linear.bytes.dense;
      const verdict = isDense(chosen)
        ? denseVerdict(all, point !== found.chosen)
        : `reads ${percent(read)} of dense for ${percent(share)} of the KL`;
      linears.set(id, { ...linear, verdict });
    });
  });
  return { ...point.plan, linears };
}

/** The chosen point, or the dense one if the whole gain is too little. */
function worthwhile({ frontier, chosen }: Search, objective: Objective): FrontierPoint {
  const dense = densePoint(frontier);
  return objective.gain(chosen, dense) < 1 / (1 - leastGain) ? dense : chosen;
}

function densePoint(frontier: readonly FrontierPoint[]): FrontierPoint {
  return frontier.find(({ chosen, cache }) => chosen.every(isDense) && (cache === null || cache.loss === 0))!;
}

function isDense({ form }: Judged): boolean {
  return isDenseForm(form);
}

function denseVerdict(all: readonly Judged[], gaveUp: boolean): string {
  const dense = all[0]!;
  if (gaveUp && all.some(({ cost }) => cost < dense.cost))
    return "stays dense: the whole plan would gain too little";
  return `stays dense: ${whyDense(all)}`;
}

/** Why no other candidate was taken. */
function whyDense([dense, ...others]: readonly Judged[]): string {
  const cheaper = others.filter(({ cost }) => cost < dense!.cost);
  if (others.length === 0) return "no other form is allowed here";
  if (cheaper.length === 0) {
    const best = others.reduce((a, b) => (b.meanBytes < a.meanBytes ? b : a));
    return `no form is faster; ${formText(best.form)} reads ${percent(best.meanBytes / dense!.meanBytes)}`;
  }
  const best = cheaper.reduce((a, b) => (b.loss < a.loss ? b : a));
  return `${formText(best.form)} would cost ${klText(best.loss)} of KL, which buys more elsewhere`;
}

/** What a search is reported with. */
interface Searched {
  readonly found: Search;
  readonly objective: Objective;
  readonly decisions: readonly Decision[];
  readonly effects: readonly GroupEffects[];
  readonly rounded: readonly RoundedPlan[];
  readonly activations: readonly (ActivationSurvey | null)[];
  /** What the types of the cache do; null where it was not to be chosen. */
  readonly caches: CachesMeasured | null;
  readonly maxKl: number | null;
}

/** What report.json says of the search. */
export function searchReport(searched: Searched): SearchReport {
  const { found, objective, decisions, effects, rounded, activations, caches, maxKl } = searched;
  const point = worthwhile(found, objective);
  const dense = densePoint(found.frontier);
  const pays = point !== dense;
  const cache = caches && cacheReport(caches, point.cache!.type);
  return {
    max_kl: maxKl,
    pays,
    verdict: [
      ...(pays ? [payingVerdict(point, dense, rounded)] : [uselessVerdict(found, objective, dense)]),
      ...(cache === null ? [] : [cache.verdict]),
      ...(pays && maxKl === null ? [draftingVerdict(point, dense)] : []),
    ].join(" "),
    dense: { bytes_per_token: dense.meanBytes, seconds_per_token: dense.seconds },
    frontier: found.frontier.map((one) => ({
      chosen: one === point,
      ...measuredPart(one, dense),
      ...(one.cache && { cache: one.cache.type }),
    })),
    round_to_nearest: rounded.map((one) => ({
      bits: one.bits,
      bytes_per_token: one.meanBytes,
      ...measured(one),
    })),
    validation_tokens: point.quality.tokens,
    ...(cache && { cache }),
    inputs: decisions.map(({ group }, index) => {
      const chosen = point.chosen[index]!;
      return {
        ...group,
        form: chosen.form,
        bytes_per_token: chosen.meanBytes,
        seconds_per_token: chosen.seconds,
        errors: chosen.errors,
        sensitivity: mean(effects[index]!.sensitivities),
        predicted_kl: chosen.loss,
        kl_share: point.predictedKl === 0 ? 0 : chosen.loss / point.predictedKl,
        activations: activations[index]!,
        rejected: found.judged[index]!.filter((one) => one.form !== chosen.form).map((one) => ({
          form: one.form,
          bytes_per_token: one.meanBytes,
          seconds_per_token: one.seconds,
          predicted_kl: one.loss,
          ...rejection(one, chosen, found.judged[index]!),
        })),
      };
    }),
  };
}

function measured({ quality: { kl, perplexity_ratio, top1 } }: Pick<FrontierPoint, "quality">) {
  return { kl, perplexity_ratio, top1 };
}

function uselessVerdict({ chosen }: Search, objective: Objective, dense: FrontierPoint): string {
  const gain = percent(1 - 1 / objective.gain(chosen, dense));
  return `This model does not profit: the best plan would gain ${gain} of the linears' time.`;
}

function draftingVerdict(point: FrontierPoint, dense: FrontierPoint): string {
  const { gain, length } = draftingGain(point, dense);
  const agreed = percent(point.quality.top1.value);
  return `It drafts: ${agreed} of its tokens are the dense model's, so lossless mode is expected to decode ${gain.toFixed(2)} times as fast as exact mode, at ${length} drafted tokens a pass.`;
}

function payingVerdict(point: FrontierPoint, dense: FrontierPoint, rounded: readonly RoundedPlan[]): string {
  const share = (bytes: number) => percent(bytes / dense.meanBytes);
  const time = percent(point.seconds / dense.seconds);
  const kl = point.quality.kl.value;
  const timed = point.cache === null ? "its linears are" : "its linears and its cache are";
  return [
    `The plan reads ${share(point.meanBytes)} of the dense bytes, and ${timed} predicted to take ${time} of their dense time.`,
    `Its KL on validation text is ${klText(kl)}.`,
    ...againstRounding(kl, roundedAt(rounded, point.meanBytes), share),
  ].join(" ");
}

/** What plain rounding makes of about the same bytes, beside a plan's KL. */
function againstRounding(kl: number, at: RoundedAt, share: (bytes: number) => string): string[] {
  const beside = at.larger ?? at.smaller;
  if (beside === null) return [];
  const times = (other: number) => (kl <= 0 ? "" : `, ${(other / kl).toFixed(2)} times the plan's`);
  const { bits, meanBytes: bytes, quality } = beside;
  const other = quality.kl.value;
  const sentence = `Plain round to nearest at ${bits} bits reads ${share(bytes)} at a KL of ${klText(other)}${times(other)}.`;
  if (at.kl === null || at.kl === other) return [sentence];
  const between = `between ${at.smaller!.bits} and ${bits} bits`;
  return [sentence, `At the plan's bytes, ${between}, it would be ${klText(at.kl)}${times(at.kl)}.`];
}

/** What is predicted of a candidate that decides whether it is taken. */
type Weighed = Pick<Judged, "form" | "cost" | "loss">;

/** Why a candidate was not taken; `all` are those of its decision, dense first. */
export function rejection(one: Weighed, chosen: Weighed, all: readonly Weighed[]): Rejection {
  const dense = all[0]!;
  if (one !== dense && one.cost >= dense.cost) return { why: "slower" };
  const better = all.find(
    ({ cost, loss }) => cost <= one.cost && loss <= one.loss && (cost < one.cost || loss < one.loss),
  );
  if (better !== undefined) return { why: "dominated", by: better.form };
  return { why: one.cost > chosen.cost ? "saves-too-little" : "loses-too-much" };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
