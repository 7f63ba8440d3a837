import { describe, expect, test } from "vitest";
import { relativeError } from "../../check/check.js";
import { evaluatePlan } from "../../oracle/reference-plan.js";
import { makePlan } from "../../passes/index.js";
import { openFixture } from "../../testing/fixtures.js";
import {
  gateModel,
  thresholdCases,
  tierCases,
  twoLaunchLogits,
  twoLaunchModel,
} from "../../testing/gates.js";
import { chosenFactors } from "../../testing/kernels.js";
import {
  feedSimulated,
  h200,
  hasMatrixCores,
  mi300x,
  shapedAs,
  simulatedBundle,
} from "../../testing/simulation.js";

const gated = (k: number, epsilon: number) => ({ forms: ["gated" as const], k: [k], epsilon: [epsilon] });

/** Every workgroup computes g for itself, or a launch before computes it for all. */
const own = (target: typeof mi300x) => shapedAs(target, { cacheBandwidthPerUnit: 1e12 });
const given = (target: typeof mi300x) => shapedAs(target, { cacheBandwidthPerUnit: 1 });
const ways = [
  ["own coordinates on mi300x", own(mi300x), 0],
  ["given coordinates on mi300x", given(mi300x), 1],
  ["given coordinates on h200", given(h200), 1],
  ["own coordinates on h200", own(h200), 0],
] as const;

/**
 * Fixtures, k, and values of epsilon: almost 0 opens every gate, 1 closes every gate, one between does both. Not every
 * fixture and way has all three, since each costs its kernels' compilation.
 */
const cases = [
  ["gpt2-bf16", 5, [1e-6, 0.9, 1], 0],
  ["gpt2-bf16", 5, [1e-6, 0.9], 1],
  ["llama-biases", 5, [1e-6, 0.85], 0],
  ["llama-bf16", 7, [0.85, 1], 2],
  ["llama-gguf", 7, [0.95], 1],
  ["gptj-f32", 5, [0.85], 0],
  ["opt-350m", 4, [0.8], 3],
  ["phi3-gguf", 6, [0.9], 2],
  ["gemma3-f32", 5, [0.85], 1],
] as const;

describe("the gated form agrees with its float64 oracle", () => {
  for (const [name, k, epsilons, way] of cases) {
    const [title, target, bases] = ways[way];
    test(`${name} with ${title}`, async () => {
      const { model, ids } = await openFixture(name);
      const factors = chosenFactors(model, k, ids);
      for (const epsilon of epsilons) {
        const plan = makePlan(model.graph, { options: gated(k, epsilon) });
        const expected = await evaluatePlan(plan, model.weights, ids, factors);
        const all = [...expected.rho.values()].flatMap((values) => [...values]);
        // Away from the threshold, f32 and float64 must decide alike.
        expect(Math.min(...all.map((value) => Math.abs(value - epsilon)))).toBeGreaterThan(1e-5);
        const closed = all.filter((value) => value < epsilon).length;
        const modes = ["bounded", "exact"] as const;
        const simulated = await simulatedBundle(model, gated(k, epsilon), modes, factors, target);
        const launched = simulated.scheduled.kernels.filter(({ symbol }) => /basis/.test(symbol)).length;
        expect(Math.min(launched, 1)).toBe(bases);
        const found = await feedSimulated(simulated, ids, { mode: "bounded" });
        expect(relativeError(found.logits, expected.logits), `epsilon ${epsilon}`).toBeLessThan(1e-4);
        expect([found.fast, found.slow]).toEqual([closed, all.length - closed]);
        if (epsilon === 1e-6) {
          // The slow tier is the dense kernel, bit for bit.
          expect(closed).toBe(0);
          expect(found.logits).toEqual((await feedSimulated(simulated, ids)).logits);
        } else if (epsilon === 1) expect(closed).toBe(all.length);
        else expect(Math.abs(closed / all.length - 0.5)).toBeLessThan(0.45);
      }
      model.weights.close();
    });
  }
});

/** Whether two bf16 numbers hold 16 bits of the elements: those below 2^-126 have steps of 2^-133. */
const isSplit = (input: readonly number[]) =>
  input.every((value) => !(Math.abs(value) < 2 ** -117) || value === 0);

describe.each(ways)("the gate with %s", (_, target) => {
  test("is closed below epsilon, open at epsilon and above, whatever the scale; NaN keeps it open", async () => {
    const { basis, epsilon, ...cases } = thresholdCases;
    const used = cases.inputs.map((input) => !hasMatrixCores(target) || isSplit(input));
    const inputs = cases.inputs.filter((_, i) => used[i]);
    const closed = cases.closed.filter((_, i) => used[i]);
    const { model, factors } = await gateModel(inputs, basis);
    const simulated = await simulatedBundle(model, gated(3, epsilon), ["bounded"], factors, target);
    const counted = [0];
    for (let tokens = 1; tokens <= inputs.length; tokens++) {
      const ids = Array<number>(tokens).fill(0);
      const { fast, slow } = await feedSimulated(simulated, ids, { mode: "bounded", logits: false });
      expect(fast + slow).toBe(tokens);
      counted.push(fast);
    }
    expect(counted.slice(1).map((value, i) => value > counted[i]!)).toEqual(closed);
    model.weights.close();
  });

  test("chooses the value: M g + b, or W x + b; of zero it is b", async () => {
    const { inputs, basis, epsilon, logits, tiers } = tierCases;
    const { model, factors } = await gateModel(inputs, basis);
    const simulated = await simulatedBundle(model, gated(1, epsilon), ["bounded"], factors, target);
    const found = await feedSimulated(simulated, Array<number>(inputs.length).fill(0), { mode: "bounded" });
    expect(Array.from(found.logits)).toEqual(logits);
    expect([found.fast, found.slow]).toEqual(tiers);
    model.weights.close();
  });

  test("counts a token once per input, however many launches read that input", async () => {
    const { model, factors } = await twoLaunchModel();
    const simulated = await simulatedBundle(model, gated(1, 0.7), ["bounded"], factors, target);
    const found = await feedSimulated(simulated, [0, 0, 0], { mode: "bounded" });
    expect([found.fast, found.slow]).toEqual([2, 1]);
    expect(Array.from(found.logits)).toEqual(twoLaunchLogits);
    model.weights.close();
  });
});
