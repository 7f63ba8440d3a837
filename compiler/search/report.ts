import type { Estimate } from "../evaluate/bootstrap.js";
import { formText } from "../forms.js";
import type { Form, LinearPlan, Plan, ValueId } from "../ir.js";
import type { Decision, FrontierPoint, Judged, Search } from "./search.js";

/** How the planner came to a plan: `plan` in report.json. Times are predicted; KL is in nats per token. */
export interface SearchReport {
  /** The most KL that was allowed, with its interval, on validation text. */
  readonly max_kl: number;
  /** False where no plan was worth it: the build is the dense one. */
  readonly pays: boolean;
  readonly verdict: string;
  /** Plans that were measured on validation text, which the figures of `gsic eval` do not come from; cheapest first. */
  readonly frontier: readonly {
    readonly chosen: boolean;
    readonly predicted_kl: number;
    readonly kl: Estimate;
    readonly perplexity_ratio: Estimate;
    readonly top1: Estimate;
    readonly bytes_per_token: number;
    readonly seconds_per_token: number;
  }[];
  readonly validation_tokens: number;
  /** By linear input. */
  readonly inputs: readonly {
    readonly input: ValueId;
    readonly linears: readonly ValueId[];
    readonly form: Form;
    readonly bytes_per_token: number;
    readonly seconds_per_token: number;
    /** E||y' - y||^2 by linear, on calibration text. */
    readonly errors: readonly number[];
    /** KL of the output per unit of that error. */
    readonly sensitivity: number;
    readonly predicted_kl: number;
    /** Of the predicted KL of the whole plan. */
    readonly kl_share: number;
    readonly rejected: readonly {
      readonly form: Form;
      readonly bytes_per_token: number;
      readonly seconds_per_token: number;
      readonly predicted_kl: number;
      readonly reason: string;
    }[];
  }[];
}

/** Below this share of its time, a model does not profit from being rewritten. */
export const leastGain = 0.03;

/** The chosen plan, every linear with its reason; the dense plan where the chosen one gains too little. */
export function withVerdicts(found: Search, decisions: readonly Decision[]): Plan {
  const point = worthwhile(found);
  const linears = new Map<ValueId, LinearPlan>(point.plan.linears);
  decisions.forEach(({ group }, index) => {
    const verdict = verdictOf(point, point.chosen[index]!, found.judged[index]!, point !== found.chosen);
    for (const id of group.linears) linears.set(id, { ...linears.get(id)!, verdict });
  });
  return { ...point.plan, linears };
}

/** The chosen point, or the dense one if the whole gain is too little. */
function worthwhile({ frontier, chosen }: Search): FrontierPoint {
  const dense = densePoint(frontier);
  return chosen.seconds > (1 - leastGain) * dense.seconds ? dense : chosen;
}

function densePoint(frontier: readonly FrontierPoint[]): FrontierPoint {
  return (
    frontier.find(({ predictedKl, chosen }) => predictedKl === 0 && chosen.every(isDense)) ?? frontier.at(-1)!
  );
}

function isDense({ form }: Judged): boolean {
  return form.kind === "dense";
}

function verdictOf(
  { predictedKl }: FrontierPoint,
  chosen: Judged,
  all: readonly Judged[],
  gaveUp: boolean,
): string {
  const dense = all[0]!;
  if (gaveUp && all.some(({ cost }) => cost < dense.cost))
    return "stays dense: the whole plan would gain too little";
  if (isDense(chosen)) return `stays dense: ${whyDense(all)}`;
  const read = percent(chosen.meanBytes / dense.meanBytes);
  const share = predictedKl === 0 ? 0 : chosen.loss / predictedKl;
  return `reads ${read} of dense for ${percent(share)} of the KL`;
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
  return `${formText(best.form)} would cost ${best.loss.toExponential(1)} of KL, which buys more elsewhere`;
}

/** What report.json says of the search. */
export function searchReport(
  found: Search,
  decisions: readonly Decision[],
  sensitivities: readonly number[],
  maxKl: number,
): SearchReport {
  const point = worthwhile(found);
  const dense = densePoint(found.frontier);
  const pays = point !== dense;
  const gain = percent(1 - found.chosen.seconds / dense.seconds);
  return {
    max_kl: maxKl,
    pays,
    verdict: pays
      ? `The plan reads ${percent(point.meanBytes / dense.meanBytes)} of the dense bytes, and its time is predicted to be ${percent(point.seconds / dense.seconds)}.`
      : `This model does not profit: the best plan within the budget would gain ${gain} of the time.`,
    frontier: found.frontier.map((one) => ({
      chosen: one === point,
      predicted_kl: one.predictedKl,
      kl: one.quality.kl,
      perplexity_ratio: one.quality.perplexity_ratio,
      top1: one.quality.top1,
      bytes_per_token: one.meanBytes,
      seconds_per_token: one.seconds,
    })),
    validation_tokens: point.quality.tokens,
    inputs: decisions.map(({ group }, index) => {
      const chosen = point.chosen[index]!;
      return {
        ...group,
        form: chosen.form,
        bytes_per_token: chosen.meanBytes,
        seconds_per_token: chosen.seconds,
        errors: chosen.errors,
        sensitivity: sensitivities[index]!,
        predicted_kl: chosen.loss,
        kl_share: point.predictedKl === 0 ? 0 : chosen.loss / point.predictedKl,
        rejected: found.judged[index]!.filter((one) => one.form !== chosen.form).map((one) => ({
          form: one.form,
          bytes_per_token: one.meanBytes,
          seconds_per_token: one.seconds,
          predicted_kl: one.loss,
          reason: rejection(one, chosen, found.judged[index]!),
        })),
      };
    }),
  };
}

function rejection(one: Judged, chosen: Judged, all: readonly Judged[]): string {
  const dense = all[0]!;
  if (one !== dense && one.cost >= dense.cost) return "no faster than dense";
  const better = all.find(
    ({ cost, loss }) => cost <= one.cost && loss <= one.loss && (cost < one.cost || loss < one.loss),
  );
  if (better !== undefined) return `${formText(better.form)} is no slower and loses no more`;
  return one.cost > chosen.cost
    ? "the KL that it saves is cheaper elsewhere"
    : "the KL that it costs buys more elsewhere";
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
