import { describe, expect, test } from "vitest";
import type { Form } from "../ir/plan.js";
import type { Evaluation, TextQuality, TierFractions } from "../report/evaluation.js";
import { formGroups } from "./forms-text.js";
import { evaluationText, keptText } from "./text.js";

describe("forms are counted by kind and settings, whatever their thresholds", () => {
  const tiered = (bits: 3 | 5, rank: number, threshold?: number): Form => ({
    gate: null,
    tier: {
      quantizer: { bits, group: 32, symmetric: true },
      rank,
      exact: threshold === undefined ? null : { projections: 8, threshold },
    },
  });

  test("the most frequent first", () => {
    const forms: Form[] = [
      { gate: null, tier: null },
      tiered(5, 8),
      tiered(3, 0),
      tiered(3, 0),
      ...[0.1, 0.2, 0.3].map((threshold) => tiered(3, 16, threshold)),
      ...[0.05, 0.06].map((epsilon): Form => ({ gate: { k: 64, epsilon }, tier: null })),
      { gate: { k: 32, epsilon: 0.1 }, tier: tiered(5, 0).tier },
    ];
    expect(formGroups(forms)).toEqual([
      "dense: 1",
      "tiered: 3 at 3 bits/32 rank 16 or exact, 2 at 3 bits/32, 1 at 5 bits/32 rank 8",
      "gated: 2 at k = 64",
      "gated+tiered: 1 at k = 32 or 5 bits/32",
    ]);
  });

  test("a kind alone", () =>
    expect(
      formGroups([
        { gate: null, tier: null },
        { gate: null, tier: null },
      ]),
    ).toEqual(["dense: 2"]));
});

describe("what gsic eval prints", () => {
  test("has tiers, equation 6 beside bytes, and the budget, within 100 columns", () => {
    const gate = { fast: 0.75, middle: 0.15, slow: 0.1 };
    const text = evaluationText(
      evaluation(
        { ...gate, by_input: { x: gate } },
        {
          equation_six: {
            heldout: { speedup: 3.5, bytes_speedup: 1.25, linears: 24 },
            calibration: { speedup: 4.5, bytes_speedup: 1.75, linears: 24 },
          },
        },
      ),
    );
    for (const line of text.split("\n")) expect(line.length, line).toBeLessThanOrEqual(100);
    expect(text).toMatch(/^tokens in fast tier +75\.0 % +75\.0 %$/m);
    expect(text).toMatch(/^tokens in middle tier +15\.0 % +15\.0 %$/m);
    expect(text).toMatch(/^tokens in slow tier +10\.0 % +10\.0 %$/m);
    const flowing = text.replaceAll("\n", " ");
    expect(flowing).toContain(
      "of the 24 linears with a subspace gate: 3.50 times; their bytes, bases included, say 1.25",
    );
    expect(flowing).toContain("(in-sample 4.50 times; their bytes, bases included, say 1.75 times)");
    expect(flowing).toContain(
      "The held-out KL, 0.0190 [0.0150, 0.0230], is within the planner's budget, max_kl = 0.02, though its interval",
    );
  });

  test("says nothing of gates where there are none, nor of a budget without one", () => {
    const none = { fast: 0, middle: 0, slow: 0, by_input: {} };
    const text = evaluationText(evaluation(none, { max_kl: null, within_max_kl: null }));
    expect(text).not.toMatch(/tier|gate|equation 6|budget/);
  });

  test("says that a budget is not met", () => {
    const none = { fast: 0, middle: 0, slow: 0, by_input: {} };
    const text = evaluationText(evaluation(none, { max_kl: 0.01, within_max_kl: false, planned: false }));
    expect(text).toContain("is above the budget, max_kl = 0.01.");
  });
});

/** An evaluation, made up. */
function evaluation(tiers: TierFractions, changes: Partial<Evaluation>): Evaluation {
  const one = { value: 1, low: 0.5, high: 1.5 };
  const quality: TextQuality = {
    tokens: 2040,
    perplexity: one,
    dense_perplexity: one,
    perplexity_ratio: one,
    top1: one,
    kl: { value: 0.019, low: 0.015, high: 0.023 },
    tiers,
  };
  return {
    mode: "bounded",
    heldout: quality,
    calibration: quality,
    pays: true,
    verdict: "The plan pays.",
    bytes_per_token: { dense: 4e6, plan_fast: 1e6, plan_mean: 1e6 },
    tiers: { heldout: tiers, calibration: tiers },
    equation_six: null,
    max_kl: 0.02,
    within_max_kl: true,
    planned: true,
    ...changes,
  };
}

test("a cache that rounds and weights that were measured are said, whatever is as usual is not", () => {
  const usual = { types: ["f32" as const], bytes_per_position: 512, dense_bytes_per_position: 512 };
  expect(keptText({ cache: usual })).toEqual([]);
  const calls = [{ shapes: ["8x4", "2x4"], stored_seconds: 3, packed_seconds: 2 }];
  const measured = { cpu: "a CPU", threads: 2, target: "cpu-avx2" };
  const cache = { types: ["int8" as const], bytes_per_position: 140, dense_bytes_per_position: 512 };
  expect(keptText({ cache, storage: { measured, packed: ["2x4", "8x4"], calls } })).toEqual([
    "  cache       int8 in 1 layer; a token reads 140 bytes of each position before it, in exact mode 512",
    "  storage     packed: 2x4, 8x4; packed against stored, cpu-avx2: 8x4 + 2x4 1.50 x",
  ]);
});
