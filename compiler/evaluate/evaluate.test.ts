import { describe, expect, test } from "vitest";
import { referenceLogits } from "../oracle/reference.js";
import type { TextQuality } from "../report/evaluation.js";
import { densePlan, noFactors, openFixture, testTargets, writeTestBundle } from "../testing/fixtures.js";
import { chosenFactors } from "../testing/kernels.js";
import { measureText, windowRanges } from "./evaluate.js";

const quiet = () => {};
const best = (await testTargets()).slice(0, 1);

const someIds = (count: number, vocabulary: number) =>
  Int32Array.from({ length: count }, (_, i) => (i * i * 5 + i + 2) % vocabulary);

/** Mean negative log likelihood of all predicted tokens, in float64; windows are sequences of their own. */
async function expectedNll(name: string, ids: Int32Array, window: number) {
  const { model } = await openFixture(name);
  const { graph, weights } = model;
  let [sum, count] = [0, 0];
  for (let at = 0; at < ids.length; at += window) {
    const part = Array.from(ids.subarray(at, at + window));
    const logits = referenceLogits(graph, weights, part);
    for (let token = 0; token + 1 < part.length; token++) {
      const row = logits.subarray(token * graph.vocabulary, (token + 1) * graph.vocabulary);
      sum += Math.log(row.reduce((total, value) => total + Math.exp(value), 0)) - row[part[token + 1]!]!;
      count++;
    }
  }
  weights.close();
  return { mean: sum / count, count };
}

function expectOrdered({
  kl,
  top1,
  perplexity,
  perplexity_ratio: ratio,
  dense_perplexity: dense,
}: TextQuality) {
  for (const { value, low, high } of [kl, top1, perplexity, ratio, dense]) {
    expect(low).toBeLessThanOrEqual(value);
    expect(value).toBeLessThanOrEqual(high);
  }
  expect(kl.low).toBeGreaterThanOrEqual(0);
  expect(top1.low).toBeGreaterThanOrEqual(0);
  expect(top1.high).toBeLessThanOrEqual(1);
  expect(ratio.value).toBeCloseTo(perplexity.value / dense.value, 10);
}

describe("exact mode is the dense model", () => {
  // 100 = 3 x 30 + 10; 61 = 2 x 30 + 1, whose last window predicts nothing; 24 is less than a window.
  for (const [count, window] of [
    [100, 30],
    [61, 30],
    [24, 48],
    [20, 2],
  ] as const) {
    test(`${count} tokens in windows of ${window}`, async () => {
      const { model } = await openFixture("gpt2-bf16");
      const bundle = await writeTestBundle(model, densePlan, ["exact"], noFactors, best);
      const ids = someIds(count, model.graph.vocabulary);
      const found = await measureText(bundle, "exact", ids, window, quiet);
      const expected = await expectedNll("gpt2-bf16", ids, window);
      expect(found.tokens).toBe(expected.count);
      expect(Math.log(found.perplexity.value)).toBeCloseTo(expected.mean, 4);
      expect(found.dense_perplexity).toEqual(found.perplexity);
      expect(found.perplexity_ratio).toEqual({ value: 1, low: 1, high: 1 });
      expect(found.kl).toEqual({ value: 0, low: 0, high: 0 });
      expect(found.top1).toEqual({ value: 1, low: 1, high: 1 });
      expect(found.tiers).toEqual({ fast: 0, middle: 0, slow: 0, by_input: {} });
      expectOrdered(found);
      expect(await measureText(bundle, "exact", ids, window, quiet)).toEqual(found);
      model.weights.close();
    });
  }
});

test("bounded mode: KL is not negative, agreement is a fraction, tiers are fractions by input", async () => {
  const { model, ids: known } = await openFixture("gpt2-bf16");
  const options = { forms: ["gated" as const], k: [5], epsilon: [0.9] };
  const factors = chosenFactors(model, 5, known);
  const bundle = await writeTestBundle(model, options, ["bounded", "exact"], factors, best);
  const ids = someIds(120, model.graph.vocabulary);
  const found = await measureText(bundle, "bounded", ids, 40, quiet);
  expectOrdered(found);
  expect(found.kl.value).toBeGreaterThan(0);
  expect(found.top1.value).toBeLessThan(1);
  const shares = Object.values(found.tiers.by_input);
  const fractions = shares.map(({ fast }) => fast);
  for (const { fast, middle, slow } of shares) expect([middle, fast + slow]).toEqual([0, 1]);
  expect(Object.keys(found.tiers.by_input)).toEqual(
    model.graph.nodes
      .filter(({ id }) => /^layer\d_(attention_norm|attention|mlp_norm|activation)$/.test(id))
      .map(({ id }) => id),
  );
  expect(fractions.every((fraction) => fraction >= 0 && fraction <= 1)).toBe(true);
  // Every input counts the same tokens.
  expect(found.tiers.fast).toBeCloseTo(fractions.reduce((a, b) => a + b, 0) / fractions.length, 12);
  const same = await measureText(bundle, "exact", ids, 40, quiet);
  expect(same.kl.value).toBe(0);
  expect(same.perplexity).toEqual(found.dense_perplexity);
  model.weights.close();
});

test("intervals are taken over windows, and over parts of long ones", () => {
  expect(windowRanges(9, 4)).toEqual([
    [0, 3],
    [3, 6],
  ]);
  expect(windowRanges(1300, 1100)).toEqual([
    [0, 512],
    [512, 1024],
    [1024, 1099],
    [1099, 1298],
  ]);
});
