import { expect, test } from "vitest";
import { linearById } from "../ir/walk.js";
import { lower } from "../lower/lower.js";
import { openFixture } from "../testing/fixtures.js";
import { planOf } from "../testing/tiers.js";
import { tierSources } from "./reference-plan.js";

const quantizer = { bits: 4, group: 32, symmetric: true } as const;
const exact = { projections: 8, threshold: 0.2 };

test.each([
  { gate: null, tier: { quantizer, rank: 4, exact: null } },
  { gate: null, tier: { quantizer, rank: 0, exact } },
  { gate: { k: 4, epsilon: 0.2 }, tier: { quantizer, rank: 4, exact } },
] as const)("kernels multiply by what the oracle does: %j", async (form) => {
  // Linears of one value in one launch, and (GPT-J) in two.
  for (const name of ["gptj-f32", "llama-untied"]) {
    const { model } = await openFixture(name);
    model.weights.close();
    const plan = planOf(model, form);
    const compared = new Set<string>();
    for (const step of lower(plan)) {
      if (step.kind !== "project") continue;
      for (const { linear, quantized } of step.parts) {
        const sources = { quantized, correction: step.correction, exact: step.exact?.source ?? null };
        expect(tierSources(plan, linearById(plan.graph, linear)), linear).toEqual(sources);
        compared.add(linear);
      }
    }
    expect([...compared].sort()).toEqual([...plan.linears.keys()].sort());
    expect(
      tierSources(planOf(model, { gate: null, tier: null }), linearById(plan.graph, "logits")),
    ).toBeNull();
  }
});
