import type { DraftingGain } from "../report/search.js";
import type { FrontierPoint, MeasuredPoint } from "./frontier.js";

/** What a plan is looked for. */
export interface Objective<P extends MeasuredPoint = FrontierPoint> {
  /** Budgets of predicted KL, in nats per token, that plans are first made for. */
  readonly first: readonly number[];
  /** Budgets to try next, given all that was measured; called a few times, and told whether it is the last one. */
  next(points: readonly P[], last: boolean): readonly number[];
  /** The plan to take; `frontier` is in order of time, and the dense plan is in it. */
  best(frontier: readonly P[]): P;
  /** How many times as fast as the dense plan a plan is predicted to be, for this purpose. */
  gain(point: P, dense: P): number;
}

/** Shares of the budget that plans are first made for: measured KL grows about as predicted, so that three tell how. */
const shares = [0.4, 1, 2.5];
/**
 * What plans are made for just below the budget that seems right, when three measured ones tell it and when four do: the
 * upper ends of two like plans differ by some hundredths, and one that is above the budget is of no use. A KL less by 5 %
 * takes about half a percent more bytes.
 */
const below = { first: [0.97], last: [0.95, 0.99] } as const;

/** The plan of least time whose measured KL, with its 95 % interval, is within a budget. */
export function leastTimeWithin<P extends MeasuredPoint = FrontierPoint>(maxKl: number): Objective<P> {
  return {
    first: shares.map((share) => share * maxKl),
    next: (points, last) => {
      const budget = rightBudget(points, maxKl);
      return budget === null ? [] : below[last ? "last" : "first"].map((factor) => factor * budget);
    },
    // A configured cache may lose more than the budget by itself.
    best: (frontier) =>
      frontier.find(({ quality }) => quality.kl.high <= maxKl) ??
      frontier.reduce((a, b) => (b.quality.kl.high < a.quality.kl.high ? b : a)),
    gain: (point, dense) => dense.seconds / point.seconds,
  };
}

/** How many times the largest budget that was tried the next one may be, where all measured plans were within `maxKl`. */
const furthest = 4;

/** The predicted KL at which the upper end of the measured one would meet the budget: between two points, log by log. */
function rightBudget(points: readonly MeasuredPoint[], maxKl: number): number | null {
  const known = points
    .map(({ predictedKl, quality }) => ({ predicted: predictedKl, measured: quality.kl.high }))
    .filter(({ predicted, measured }) => predicted > 0 && measured > 0)
    .sort((a, b) => a.predicted - b.predicted);
  const above = known.findIndex(({ measured }) => measured > maxKl);
  const highest = known.at(-1);
  if (highest === undefined) return null;
  if (above < 0) return highest.predicted * Math.min(furthest, maxKl / highest.measured);
  const high = known[above]!;
  const low = known[above - 1];
  if (low === undefined) return (high.predicted * maxKl) / high.measured / 2;
  const slope = Math.log(high.measured / low.measured) / Math.log(high.predicted / low.predicted);
  return low.predicted * (maxKl / low.measured) ** (1 / Math.max(slope, 0.25));
}

/** Budgets from plans that hardly differ from the dense one to those that agree with it half of the time. */
const draftBudgets = [0.003, 0.006, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4];
/** What is tried between the best of these and its neighbours. */
const between = [2 ** -0.5, 2 ** 0.5];

/** The plan that drafts best: with it, lossless mode is expected to give most tokens a second. */
export function bestDraft(): Objective {
  const gain = (point: FrontierPoint, dense: FrontierPoint) => draftingGain(point, dense).gain;
  const best = (frontier: readonly FrontierPoint[]) => {
    const dense = frontier.find(({ predictedKl }) => predictedKl === 0)!;
    return frontier.reduce((a, b) => (gain(b, dense) > gain(a, dense) ? b : a), dense);
  };
  return {
    first: draftBudgets,
    next: (points) => {
      const { predictedKl } = best(points);
      return predictedKl === 0 ? [] : between.map((factor) => factor * predictedKl);
    },
    best,
    gain,
  };
}

/** The most tokens that are drafted at once. */
const maxDrafted = 15;
/**
 * What the exact weights take for a token more in a pass, as a share of a pass for one: the weights are read once, and the
 * arithmetic is not quite hidden behind that. `gsic bench` shows the real one; the choice hardly depends on it.
 */
const verifiedShare = 0.08;

/**
 * k drafted tokens, each accepted with probability a if those before it were, give 1 + a + ... + a^k tokens for k drafts
 * and a pass that verifies k + 1 tokens. a is the measured top-1 agreement on validation text, a draft's cost its
 * predicted share of the dense plan's time.
 */
export function draftingGain(point: MeasuredPoint, dense: MeasuredPoint): DraftingGain {
  const acceptance = point.quality.top1.value;
  const draft = point.seconds / dense.seconds;
  let best: DraftingGain = { gain: 1, length: 0 };
  let tokens = 1;
  for (let length = 1; length <= maxDrafted; length++) {
    tokens += acceptance ** length;
    const gain = tokens / (length * draft + 1 + length * verifiedShare);
    if (gain > best.gain) best = { gain, length };
  }
  return best;
}

/** What reports say of a measured plan, beside the dense one. */
export function measuredPart(point: MeasuredPoint, dense: MeasuredPoint) {
  const { quality } = point;
  return {
    predicted_kl: point.predictedKl,
    kl: quality.kl,
    perplexity_ratio: quality.perplexity_ratio,
    top1: quality.top1,
    bytes_per_token: point.meanBytes,
    seconds_per_token: point.seconds,
    drafting: draftingGain(point, dense),
  };
}
