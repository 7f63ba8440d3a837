import { describe, expect, test } from "vitest";
import { relativeError } from "../check/check.js";
import { kindOf } from "../ir/forms.js";
import type { Form } from "../ir/plan.js";
import { evaluatePlan, type PlanValues } from "../oracle/reference-plan.js";
import { nativeLogits, openFixture, testTargets, writePlanBundle } from "../testing/fixtures.js";
import { planOf, roundedFactors } from "../testing/tiers.js";

const best = (await testTargets()).slice(0, 1);
const tier = { quantizer: { bits: 5, group: 32, symmetric: true }, rank: 8, exact: null } as const;
const asymmetric = { ...tier, quantizer: { bits: 4, group: 64, symmetric: false }, rank: 0 } as const;
/** Of the largest logit: activations have 15 to 16 bits there. */
const tolerance = 5e-4;
const exact = { projections: 5, threshold: 0 };

/** Every form at few bits, on families whose projections differ: biases, one input for three, gate and up. */
const cases: readonly (readonly [fixture: string, form: Form])[] = [
  ["gpt2-bf16", { gate: null, tier }],
  ["llama-bf16", { gate: null, tier: asymmetric }],
  ["llama-bf16", { gate: null, tier: { ...tier, exact } }],
  ["gpt2-bf16", { gate: { k: 5, epsilon: 0.9 }, tier }],
  ["llama-biases", { gate: { k: 5, epsilon: 0.85 }, tier: { ...asymmetric, exact } }],
];

/** The form with a threshold that about half of the tokens are below, and none is close to. */
function split(form: Form, { predicted }: PlanValues): Form {
  const ratios = [...predicted.values()].flatMap((values) => [...values]).sort((a, b) => a - b);
  if (ratios.length === 0 || form.tier === null) return form;
  const gaps = ratios
    .slice(1)
    .map((value, i) => ({ width: value / ratios[i]!, at: Math.sqrt(value * ratios[i]!) }));
  const middle = gaps.slice(Math.floor(gaps.length / 4), Math.ceil((3 * gaps.length) / 4));
  const threshold = middle.reduce((a, b) => (b.width > a.width ? b : a)).at;
  return { ...form, tier: { ...form.tier, exact: { ...exact, threshold } } };
}

describe("forms at few bits agree with their float64 oracle", () => {
  for (const [name, form] of cases) {
    test(`${name}: ${kindOf(form)}${form.tier?.exact ? " with an exact tier" : ""}`, async () => {
      const { model, ids } = await openFixture(name);
      const factors = roundedFactors(model, 5, ids);
      // Thresholds stand before the first layer's own errors change what later gates see: they are found once.
      const chosen = split(form, await evaluatePlan(planOf(model, form), model.weights, ids, factors));
      const plan = planOf(model, chosen);
      const expected = await evaluatePlan(plan, model.weights, ids, factors);
      const bundle = await writePlanBundle(model, plan, ["bounded", "exact"], factors, best);
      const logits = await nativeLogits(bundle, ids, "bounded");
      expect(relativeError(logits, expected.logits)).toBeLessThan(tolerance);
      const dense = await nativeLogits(bundle, ids, "exact");
      expect(relativeError(dense, expected.logits)).toBeGreaterThan(1e-3);
      model.weights.close();
    });
  }
});

test("with every gate of the exact tier open, the logits are those of exact mode, bit for bit", async () => {
  const { model, ids } = await openFixture("llama-bf16");
  const form: Form = { gate: null, tier: { ...tier, exact: { projections: 4, threshold: 1e-9 } } };
  const factors = roundedFactors(model, 5, ids);
  const bundle = await writePlanBundle(model, planOf(model, form), ["bounded", "exact"], factors, best);
  expect(await nativeLogits(bundle, ids, "bounded")).toEqual(await nativeLogits(bundle, ids, "exact"));
  model.weights.close();
});

test("any number of columns gives the same bits", async () => {
  const { model, ids } = await openFixture("gpt2-bf16");
  const form: Form = { gate: null, tier };
  const factors = roundedFactors(model, 5, ids);
  const plan = planOf(model, form);
  const one = await writePlanBundle(model, plan, ["bounded", "exact"], factors, best);
  const expected = await nativeLogits(one, ids, "bounded");
  const prefix = await nativeLogits(one, ids.slice(0, 3), "bounded");
  expect(prefix).toEqual(expected.slice(0, prefix.length));
  model.weights.close();
});
