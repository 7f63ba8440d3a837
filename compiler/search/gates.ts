import type { SubspaceSurvey, TierSurvey } from "../calibrate/algebra.js";
import type { Gate } from "../ir/forms.js";
import { GsicError } from "../support/errors.js";

/** Tokens of one linear input as a predictor sees them, [n], in the order of the text. */
export interface GateSamples {
  /** What the gate compares: it is closed where score < threshold. -Infinity where x = 0: closed in any case. */
  readonly scores: Float64Array;
  /** Squared error of the output where the gate is closed; an open gate makes none. */
  readonly errors: Float64Array;
}

/** Tells from a linear's input alone whether the cheaper path is good enough for it. */
export interface GatePredictor<Survey> {
  readonly kind: Gate["kind"];
  /** Scores, and the errors that they should foretell. */
  samples(survey: Survey): GateSamples;
  /** Thresholds worth trying, from the part of the text that they are fitted on. */
  candidates(fit: GateSamples): number[];
}

/** The paper's predictor: rho = ||x - V V^T x|| / ||x|| with k columns of V, one of the survey's, under given epsilons. */
export function rhoPredictor(k: number, epsilons: readonly number[]): GatePredictor<SubspaceSurvey> {
  return {
    kind: "subspace",
    samples({ squaredNorms, subspaces }) {
      const { rho, errors } = subspaces.find((subspace) => subspace.k === k)!;
      return samplesOf(squaredNorms, errors, (i) => rho[i]!);
    },
    candidates: () => [...epsilons],
  };
}

/**
 * The predicted output error, ||S x|| / ||x||. Candidates leave the gate open for at most the given fractions, 0 to
 * below 1, of the tokens that they are fitted on; tokens of equal score stay together.
 */
export function errorPredictor(open: readonly number[]): GatePredictor<TierSurvey> {
  return {
    kind: "error",
    samples: ({ errors, projected, squaredNorms }) =>
      samplesOf(squaredNorms, errors, (i) => Math.sqrt(projected[i]! / squaredNorms[i]!)),
    candidates({ scores }) {
      const sorted = scores.toSorted();
      return [...new Set(open.map((fraction) => thresholdAbove(sorted, scores.length * (1 - fraction))))];
    },
  };
}

function samplesOf(
  squaredNorms: Float32Array,
  errors: Float32Array,
  score: (i: number) => number,
): GateSamples {
  const scores = Float64Array.from(squaredNorms, (square, i) => (square === 0 ? -Infinity : score(i)));
  return { scores, errors: Float64Array.from(errors, (error, i) => (squaredNorms[i] === 0 ? 0 : error)) };
}

/** A threshold that the `closed` least of ascending scores stay below, and as few others as can be. */
function thresholdAbove(sorted: Float64Array, closed: number): number {
  // The smallest normal f32, for scores that are all 0.
  const least = 2 ** -126;
  const last = sorted[Math.ceil(closed) - 1]!;
  const next = sorted.find((score) => score > last);
  return Math.max(least, next === undefined ? last * (1 + 2 ** -10) : between(last, next));
}

/** A threshold that `below` is below, and `above` is not; away from both, since kernels compare in f32. */
function between(below: number, above: number): number {
  const middle = (Math.max(0, below) + above) / 2;
  return middle > below ? middle : above;
}

/** What a threshold does to a part of the text. */
interface GateEffect {
  /** Fraction of tokens with the gate closed. */
  readonly closed: number;
  /** Squared error of the output that closed tokens have, divided by the number of all tokens. */
  readonly error: number;
}

/** One threshold, fitted on the first half of the text and validated on the second. */
interface FittedThreshold {
  /** As the predictor proposed it. */
  readonly candidate: number;
  /** At most the candidate. */
  readonly threshold: number;
  readonly fit: GateEffect;
  /** What a planner should reckon with. */
  readonly validation: GateEffect;
  /** The candidate's error in the validation half over that in the fit half; 1 if both are 0, Infinity if the latter is. */
  readonly drift: number;
}

/** By how much the validation half's error may exceed what was fitted, before a threshold is tightened. */
export const defaultDrift = 1.25;

/**
 * Fits a predictor's thresholds. Candidates come from the first half of the tokens. Where the second half's error
 * exceeds `allowedDrift` times the error that the candidate has in the first, the threshold is lowered to the largest
 * one under which it does not; the bound stays that of the candidate, so that every threshold keeps what its candidate
 * promised. The second half has then been looked at: figures to be quoted need a third text. Throws `gate-samples-few`.
 */
export function fitThresholds<Survey>(
  predictor: GatePredictor<Survey>,
  survey: Survey,
  allowedDrift = defaultDrift,
): FittedThreshold[] {
  const [fit, validation] = halves(predictor.samples(survey));
  return predictor.candidates(fit).map((candidate) => {
    const [fitted, found] = [effect(fit, candidate), effect(validation, candidate)];
    const bound = allowedDrift * fitted.error;
    const threshold = found.error <= bound ? candidate : tightened(validation, candidate, bound);
    return {
      candidate,
      threshold,
      fit: effect(fit, threshold),
      validation: effect(validation, threshold),
      drift: found.error === fitted.error ? 1 : found.error / fitted.error,
    };
  });
}

/** What a threshold does to tokens, at least one. */
export function effect({ scores, errors }: GateSamples, threshold: number): GateEffect {
  let [closed, error] = [0, 0];
  scores.forEach((score, i) => {
    if (!(score < threshold)) return;
    closed++;
    error += errors[i]!;
  });
  return { closed: closed / scores.length, error: error / scores.length };
}

/** The part of the text that thresholds are fitted on, and the part that validates them. Throws `gate-samples-few`. */
export function halves({ scores, errors }: GateSamples): [GateSamples, GateSamples] {
  if (scores.length < 2) {
    throw new GsicError({
      category: "data",
      code: "gate-samples-few",
      message: `a gate cannot be fitted and validated on ${scores.length} tokens`,
      hint: "raise calibration.tokens",
    });
  }
  const middle = Math.ceil(scores.length / 2);
  const part = (begin: number, end: number) => ({
    scores: scores.subarray(begin, end),
    errors: errors.subarray(begin, end),
  });
  return [part(0, middle), part(middle, scores.length)];
}

/** The largest threshold up to `candidate` under which the mean error is at most `bound`. */
function tightened({ scores, errors }: GateSamples, candidate: number, bound: number): number {
  const closed = [...scores.keys()].filter((i) => scores[i]! < candidate);
  closed.sort((a, b) => scores[a]! - scores[b]! || a - b);
  let sum = 0;
  let last = -Infinity;
  for (let at = 0; at < closed.length; ) {
    const score = scores[closed[at]!]!;
    for (; at < closed.length && scores[closed[at]!] === score; at++) sum += errors[closed[at]!]!;
    if (sum / scores.length > bound) return between(last, score);
    last = score;
  }
  return candidate;
}
