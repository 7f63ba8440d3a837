import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SubspaceSurvey, TierSurvey } from "../calibrate/algebra.js";
import { gaussian } from "../testing/kernels.js";
import {
  defaultDrift,
  effect,
  errorPredictor,
  fitThresholds,
  type GatePredictor,
  type GateSamples,
  rhoPredictor,
} from "./gates.js";

/** Few distinct values, so that scores are often equal, and zero. */
const coarse = fc.integer({ min: 0, max: 6 }).map((value) => value / 4);
const fine = fc.float({ min: 0, max: 1e6, noNaN: true });
const token = fc.record({
  error: fc.oneof(coarse, fine),
  projected: fc.oneof(coarse, fine),
  square: fc.oneof(coarse, fine),
});
const text = (least: number) => fc.array(token, { minLength: least, maxLength: 40 });
type Token = { error: number; projected: number; square: number };

const tierSurvey = (tokens: readonly Token[]): TierSurvey => ({
  errors: Float32Array.from(tokens, ({ error }) => error),
  projected: Float32Array.from(tokens, ({ projected }) => projected),
  squaredNorms: Float32Array.from(tokens, ({ square }) => square),
});
const open = [0, 0.02, 0.05, 0.1, 0.2, 0.6];
const predictor = errorPredictor(open);
const samples = (tokens: readonly Token[]): GateSamples => predictor.samples(tierSurvey(tokens));

describe("what a threshold does", () => {
  test("is monotone, and a fraction", () => {
    fc.assert(
      fc.property(text(1), fc.array(fine, { minLength: 2, maxLength: 8 }), (tokens, thresholds) => {
        const effects = thresholds.toSorted((a, b) => a - b).map((each) => effect(samples(tokens), each));
        effects.forEach(({ closed, error }, i) => {
          expect(closed).toBeGreaterThanOrEqual(effects[i - 1]?.closed ?? 0);
          expect(closed).toBeLessThanOrEqual(1);
          expect(error).toBeGreaterThanOrEqual(effects[i - 1]?.error ?? 0);
        });
        const mean = samples(tokens).errors.reduce((sum, error) => sum + error, 0) / tokens.length;
        expect(effect(samples(tokens), Infinity)).toEqual({ closed: 1, error: mean });
      }),
    );
  });

  test("tokens of norm zero are closed and without error, whatever was measured", () => {
    fc.assert(
      fc.property(text(1), fc.constantFrom(0, 1e-9, 1), (tokens, threshold) => {
        const zero = tokens.map((each) => ({ ...each, square: 0 }));
        expect(effect(samples(zero), threshold)).toEqual({ closed: 1, error: 0 });
        const rho = { k: 1, rho: Float32Array.of(0, 1), errors: Float32Array.of(7, 2) };
        const survey: SubspaceSurvey = { squaredNorms: Float32Array.of(0, 4), subspaces: [rho] };
        expect(effect(rhoPredictor(1, []).samples(survey), threshold)).toEqual({ closed: 0.5, error: 0 });
      }),
    );
  });
});

describe("candidates", () => {
  test("leave at most the given fractions open, and no more closed than they must", () => {
    fc.assert(
      fc.property(text(1), fc.constantFrom(...open), (tokens, fraction) => {
        const fit = samples(tokens);
        const [threshold] = errorPredictor([fraction]).candidates(fit);
        expect(Number.isFinite(threshold)).toBe(true);
        expect(threshold).toBeGreaterThan(0);
        const { closed } = effect(fit, threshold!);
        expect(1 - closed).toBeLessThanOrEqual(fraction + 1e-12);
        const largest = Math.max(...fit.scores.filter((score) => score < threshold!));
        const lower = effect(fit, largest);
        if (largest > 0) expect(1 - lower.closed).toBeGreaterThan(fraction - 1e-12);
      }),
    );
  });

  test("equal scores stay together: all closed", () => {
    const tokens = Array.from({ length: 10 }, () => ({ error: 1, projected: 9, square: 4 }));
    const [threshold, ...others] = predictor.candidates(samples(tokens));
    expect(others).toEqual([]);
    expect(threshold).toBeGreaterThan(1.5);
    expect(threshold).toBeLessThan(1.51);
  });

  test("rho's are the epsilons, and its errors those of its k", () => {
    const survey: SubspaceSurvey = {
      squaredNorms: Float32Array.of(1, 1),
      subspaces: [
        { k: 4, rho: Float32Array.of(0.5, 0.25), errors: Float32Array.of(3, 1) },
        { k: 8, rho: Float32Array.of(0.125, 0.0625), errors: Float32Array.of(0.5, 0.25) },
      ],
    };
    expect(fitThresholds(rhoPredictor(8, [0.1, 0.2]), survey)).toEqual([
      expect.objectContaining({ candidate: 0.1, threshold: 0.0625 / 2, drift: Infinity }),
      {
        candidate: 0.2,
        threshold: 0.2,
        fit: { closed: 1, error: 0.5 },
        validation: { closed: 1, error: 0.25 },
        drift: 0.5,
      },
    ]);
    expect(rhoPredictor(4, []).samples(survey).scores).toEqual(Float64Array.of(0.5, 0.25));
  });
});

/** Scores and errors as they are. */
const given = (candidates: readonly number[]): GatePredictor<GateSamples> => ({
  kind: "error",
  samples: (each) => each,
  candidates: () => [...candidates],
});

describe("thresholds are fitted on one half and hold on the other", () => {
  test("whatever the tokens", () => {
    fc.assert(
      fc.property(text(2), fc.constantFrom(1, defaultDrift, 3), (tokens, allowed) => {
        const survey = tierSurvey(tokens);
        const middle = Math.ceil(tokens.length / 2);
        const [fit, validation] = [samples(tokens.slice(0, middle)), samples(tokens.slice(middle))];
        const found = fitThresholds(predictor, survey, allowed);
        expect(found.map(({ candidate }) => candidate)).toEqual(predictor.candidates(fit));
        for (const each of found) {
          const promised = effect(fit, each.candidate);
          const bound = allowed * promised.error;
          expect(each.threshold).toBeLessThanOrEqual(each.candidate);
          expect(each.fit).toEqual(effect(fit, each.threshold));
          expect(each.validation).toEqual(effect(validation, each.threshold));
          expect(each.validation.error).toBeLessThanOrEqual(bound * (1 + 1e-9));
          const untightened = effect(validation, each.candidate);
          expect(each.drift).toBe(
            untightened.error === promised.error ? 1 : untightened.error / promised.error,
          );
          if (untightened.error <= bound) {
            expect(each.threshold).toBe(each.candidate);
            continue;
          }
          // The largest that holds: the next score up would break the bound.
          const above = [...validation.scores].filter((score) => score >= each.threshold);
          const next = Math.min(...above);
          const wider = {
            ...validation,
            scores: validation.scores.map((score) => (score === next ? -1 : score)),
          };
          expect(effect(wider, each.threshold).error).toBeGreaterThan(bound * (1 - 1e-9));
        }
      }),
      { numRuns: 300 },
    );
  });

  test("a drifting text is tightened, to between two scores", () => {
    const survey = {
      scores: Float64Array.of(1, 2, 3, 4, 1, 2, 3, 4),
      errors: Float64Array.of(1, 1, 1, 9, 1, 2, 8, 9),
    };
    expect(fitThresholds(given([3.5]), survey)).toEqual([
      {
        candidate: 3.5,
        threshold: 2.5,
        fit: { closed: 0.5, error: 0.5 },
        validation: { closed: 0.5, error: 0.75 },
        drift: 11 / 3,
      },
    ]);
    expect(fitThresholds(given([3.5]), survey, 4)[0]!.threshold).toBe(3.5);
  });

  test("scores that differ in the last bit are kept apart", () => {
    const next = 1 + Number.EPSILON;
    const survey = { scores: Float64Array.of(1, next, 1, next), errors: Float64Array.of(1, 1, 1, 9) };
    const [found] = fitThresholds(given([2]), survey);
    expect(found!.validation).toEqual({ closed: 0.5, error: 0.5 });
  });

  test("one token is too few", () => {
    for (const count of [0, 1]) {
      const survey = { scores: new Float64Array(count), errors: new Float64Array(count) };
      expect(() => fitThresholds(given([1]), survey)).toThrow(
        expect.objectContaining({ code: "gate-samples-few", category: "data" }),
      );
    }
  });
});

test("random projections of an error find the tokens on which it is large", () => {
  const [n, d, out, p] = [400, 16, 24, 8];
  const random = gaussian(3);
  const error = Float64Array.from({ length: out * d }, (_, i) => random() * (i % d < 2 ? 3 : 0.3));
  const signs = Float64Array.from({ length: p * out }, () => (random() < 0 ? -1 : 1) / Math.sqrt(p));
  const tokens = Array.from({ length: n }, () => {
    const x = Float64Array.from({ length: d }, random);
    const e = Float64Array.from({ length: out }, (_, r) =>
      x.reduce((sum, v, c) => sum + error[r * d + c]! * v, 0),
    );
    const s = Float64Array.from({ length: p }, (_, q) =>
      e.reduce((sum, v, r) => sum + signs[q * out + r]! * v, 0),
    );
    const square = (values: Float64Array) => values.reduce((sum, value) => sum + value * value, 0);
    return { error: square(e), projected: square(s), square: square(x) };
  });
  const all = tokens.reduce((sum, each) => sum + each.error, 0) / n;
  for (const { fit, validation } of fitThresholds(errorPredictor([0.2]), tierSurvey(tokens), Infinity)) {
    expect(fit.closed).toBeGreaterThanOrEqual(0.8);
    expect(validation.error).toBeLessThan(0.7 * all);
    expect(validation.closed).toBeGreaterThan(0.7);
  }
});
