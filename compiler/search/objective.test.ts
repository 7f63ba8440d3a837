import { expect, test } from "vitest";
import type { FrontierPoint } from "./frontier.js";
import { bestDraft, draftingGain, leastTimeWithin } from "./objective.js";

/** A measured plan: its predicted time, its agreement with the dense model, and its KL, predicted and measured. */
function point(seconds: number, top1: number, kl: number): FrontierPoint {
  const estimate = (value: number) => ({ value, low: value * 0.9, high: value * 1.1 });
  const one = estimate(1);
  const quality = {
    tokens: 1000,
    perplexity: one,
    dense_perplexity: one,
    perplexity_ratio: one,
    kl: estimate(kl),
    top1: estimate(top1),
    tiers: { fast: 0, middle: 0, slow: 0, by_input: {} },
  };
  const plan = {} as FrontierPoint["plan"];
  return { chosen: [], plan, cache: null, predictedKl: kl, seconds, meanBytes: 0, quality };
}

const dense = point(1, 1, 0);

test("the gain of drafting is that of the best draft length, by the formula", () => {
  // Of k = 1, 2, 3, ...: (1 + .5 + ... + .5^k) / (1 + .2 k + .08 k): 1.17, 1.12, 1.02.
  const { gain, length } = draftingGain(point(0.2, 0.5, 0.1), dense);
  expect(length).toBe(1);
  expect(gain).toBeCloseTo(1.5 / 1.28, 9);
  const always = draftingGain(point(0.2, 1, 0.1), dense);
  expect(always.length).toBe(15);
  expect(always.gain).toBeCloseTo(16 / (1 + 15 * 0.28), 9);
});

test("drafts that are slow or mostly wrong do not pay", () => {
  expect(draftingGain(point(0.95, 0.9, 0.1), dense)).toEqual({ gain: 1, length: 0 });
  expect(draftingGain(point(0.1, 0.05, 5), dense)).toEqual({ gain: 1, length: 0 });
  expect(draftingGain(dense, dense)).toEqual({ gain: 1, length: 0 });
});

test("the best draft is neither the most faithful plan nor the fastest", () => {
  const faithful = point(0.8, 0.99, 0.001);
  const good = point(0.35, 0.92, 0.03);
  const fast = point(0.3, 0.4, 1);
  const { best, next } = bestDraft();
  expect(best([fast, good, faithful, dense])).toBe(good);
  for (const budget of next([fast, good, faithful, dense], false)) {
    expect(budget).toBeGreaterThan(faithful.predictedKl);
    expect(budget).toBeLessThan(fast.predictedKl);
  }
  expect(best([point(0.99, 0.5, 1), dense])).toBe(dense);
  expect(next([point(0.99, 0.5, 1), dense], false)).toEqual([]);
});

test("within a budget the cheapest plan is taken whose interval is, too", () => {
  const { best, next } = leastTimeWithin(0.02);
  const inside = point(0.4, 0.9, 0.018);
  const above = point(0.39, 0.9, 0.019);
  expect(best([above, inside, dense])).toBe(inside);
  for (const last of [false, true])
    for (const budget of next([above, inside, dense], last)) {
      expect(budget).toBeGreaterThan(0.015);
      expect(budget).toBeLessThan(0.021);
    }
});

test("where all measured plans are within the budget, the next is further, at most four times", () => {
  const { next } = leastTimeWithin(0.02);
  const [faithful, good] = [point(0.8, 0.99, 0.001), point(0.4, 0.95, 0.01)];
  expect(next([faithful, good, dense], false)).toEqual([expect.closeTo((0.97 * 0.01 * 0.02) / 0.011, 9)]);
  expect(next([faithful, dense], false)).toEqual([expect.closeTo(0.97 * 0.004, 9)]);
  expect(next([dense], false)).toEqual([]);
});
