import { describe, expect, test } from "vitest";
import { relativeError } from "../../check/check.js";
import type { GpuTarget } from "../../config/target.js";
import type { ErrorGate, Form, Quantizer } from "../../ir/plan.js";
import type { QuantizedSource } from "../../ir/steps.js";
import { linearById } from "../../ir/walk.js";
import type { QuantizedLinear } from "../../layout/quantizer.js";
import type { Model } from "../../models/model.js";
import type { FactorSource } from "../../pack/weights.js";
import { makePlan } from "../../passes/index.js";
import { densePlan, openFixture } from "../../testing/fixtures.js";
import {
  countGates,
  evaluateTieredPlan,
  randomLowRank,
  randomQuantized,
  withQuantized,
} from "../../testing/gpu-tiers.js";
import { chosenFactors, gaussian, linearModel, storedAs } from "../../testing/kernels.js";
import { feedSimulated, h200, mi300x, shapedAs, simulatedPlan } from "../../testing/simulation.js";
import { roundedToNearest, withForm } from "../../testing/tiers.js";

const own = (target: GpuTarget) => shapedAs(target, { cacheBandwidthPerUnit: 1e12 });
const given = (target: GpuTarget) => shapedAs(target, { cacheBandwidthPerUnit: 1 });

/** W rounded to nearest, and random factors: what the gates compare differs from token to token. */
function factorsOf(model: Model, k: number, ids: readonly number[]): FactorSource {
  return withQuantized(chosenFactors(model, k, ids), (source: QuantizedSource, seed): QuantizedLinear => {
    const { out, d, quantizer, rank } = source;
    if (source.kind === "quantized") {
      const weights = model.weights.readRows(linearById(model.graph, source.linear).weight, 0, out);
      const matrix = roundedToNearest(weights, out, d, quantizer);
      return { matrix, lowRank: rank === 0 ? null : randomLowRank(out, rank, seed) };
    }
    const matrix = randomQuantized(out, d, quantizer, seed);
    matrix.rowScales.fill(source.kind === "projections" ? 1e-4 : 1e-5);
    return { matrix, lowRank: null };
  });
}

const quantizer: Quantizer = { bits: 5, group: 32, symmetric: false };
const exact: ErrorGate = { projections: 3, threshold: 0.9 };
const gate = { k: 5, epsilon: 0.85 };
const tier = { quantizer, rank: 8, exact: null };

/** Logits and counters of a plan against the oracle's; both sides of every gate have tokens. */
async function checkPlan(model: Model, form: Form, ids: readonly number[], target: GpuTarget): Promise<void> {
  const dense = makePlan(model.graph, { options: densePlan, device: target.device });
  const takes = (id: string) => id !== model.graph.output || model.graph.nodes.length === 2;
  const plan = withForm(dense, form, takes);
  const factors = factorsOf(model, 5, ids);
  const expected = await evaluateTieredPlan(plan, model.weights, ids, factors);
  const all = [...expected.measured.values()].flat();
  const { fast, slow, nearest } = countGates(form, all);
  // Away from the limits, f32 and float64 must decide alike.
  expect(nearest).toBeGreaterThan(1e-5);
  for (const values of [all.map(({ rho }) => rho), all.map(({ error }) => error)]) {
    const limits = values.flatMap((value) => value ?? []);
    if (limits.length > 0) expect(new Set(limits.map((value) => value > 0.85)).size).toBe(2);
  }
  const simulated = await simulatedPlan(model, plan, ["bounded"], factors, target);
  const found = await feedSimulated(simulated, ids, { mode: "bounded" });
  expect(relativeError(found.logits, expected.logits)).toBeLessThan(1e-4);
  expect([found.fast, found.slow]).toEqual([fast, slow]);
  for (const [chunks, units, backward] of [
    [[1], 1, false],
    [[3, 1, 9], 3, true],
  ] as const) {
    const { traffic: _, ...cut } = await feedSimulated(simulated, ids, {
      mode: "bounded",
      chunks,
      units,
      backward,
    });
    expect(cut, `passes of ${chunks}`).toEqual({ logits: found.logits, fast, slow });
  }
  model.weights.close();
}

describe("one linear in every combination of tiers agrees with its float64 oracle, however tokens are cut", () => {
  for (const [name, form, target] of [
    [
      "tiered with an exact tier, own factors on mi300x",
      { gate: null, tier: { ...tier, exact } },
      own(mi300x),
    ],
    [
      "tiered with an exact tier, given factors on h200",
      { gate: null, tier: { ...tier, exact } },
      given(h200),
    ],
    ["gated and tiered, given factors on mi300x", { gate, tier }, given(mi300x)],
    ["all tiers, given factors on mi300x", { gate, tier: { ...tier, exact } }, given(mi300x)],
    ["all tiers, own factors on h200", { gate, tier: { ...tier, exact } }, own(h200)],
  ] as const) {
    test(name, async () => {
      const [tokens, out, d] = [21, 9, 75];
      const random = gaussian(5);
      const inputs = Float32Array.from({ length: tokens * d }, (_, i) =>
        Math.floor(i / d) === 4 ? 0 : random(),
      );
      const bytes = storedAs("bf16", Float32Array.from({ length: out * d }, random));
      const model = await linearModel(inputs, tokens, { dtype: "bf16", out, d, bytes });
      await checkPlan(model, form, Array<number>(tokens).fill(0), target);
    });
  }
});

describe("a model of all tiers agrees with its float64 oracle", () => {
  test("llama-biases on mi300x: norms, a GLU, biases, residuals", async () => {
    const { model, ids } = await openFixture("llama-biases");
    await checkPlan(model, { gate, tier: { ...tier, exact } }, ids, own(mi300x));
  });
});
