import { describe, expect, test } from "vitest";
import { relativeError } from "../../check/check.js";
import { withCache } from "../../ir/cache.js";
import { referenceLogits } from "../../oracle/reference.js";
import { makePlan } from "../../passes/index.js";
import { attentionCases, attentionModel, vocabulary } from "../../testing/attention.js";
import { densePlan, noFactors } from "../../testing/fixtures.js";
import {
  feedSimulated,
  generateSimulated,
  h200,
  mi300x,
  simulatedBundle,
  simulatedPlan,
} from "../../testing/simulation.js";

const someIds = (tokens: number) =>
  Array.from({ length: tokens }, (_, i) => (i * i * 7 + (i >> 2)) % vocabulary);

describe.each([mi300x, h200])(
  "attention on $name is right, and the same bits however tokens are cut into passes",
  (target) => {
    for (const { tokens = 70, context = tokens, ...attention } of attentionCases) {
      test(`${JSON.stringify(attention)}, ${tokens} tokens`, async () => {
        const model = await attentionModel(attention, context);
        const ids = someIds(tokens);
        const simulated = await simulatedBundle(model, densePlan, ["exact"], noFactors, target);
        const { logits } = await feedSimulated(simulated, ids);
        const error = relativeError(logits, referenceLogits(model.graph, model.weights, ids));
        expect(error).toBeLessThan(2e-6);
        for (const [chunks, units, backward] of [
          [[1], 1, false],
          [[5, 16, 2, 1, 11], 7, true],
        ] as const) {
          if (tokens > 100 && chunks.length === 1) continue;
          expect(
            (await feedSimulated(simulated, ids, { chunks, units, backward })).logits,
            `${chunks}`,
          ).toEqual(logits);
        }
        model.weights.close();
      });
    }
  },
);

test.each([
  { target: mi300x, attention: attentionCases.at(-2)! },
  { target: h200, attention: attentionCases.at(-1)! },
])(
  "a cache of f16 gives what the oracle gives with keys and values rounded so: $target.name, $attention",
  async ({ target, attention }) => {
    const { tokens = 70, context = tokens } = attention;
    const model = await attentionModel(attention, context);
    const ids = someIds(tokens);
    const plan = makePlan(withCache(model.graph, "f16"), { options: densePlan, device: target.device });
    const simulated = await simulatedPlan(model, plan, ["bounded", "exact", "lossless"], noFactors, target);
    const { logits } = await feedSimulated(simulated, ids, { mode: "bounded" });
    const exact = referenceLogits(model.graph, model.weights, ids);
    // In f32 a number may be rounded to the other side of two of f16 than in float64.
    const unlike = relativeError(logits, exact);
    const error = relativeError(logits, referenceLogits(plan.graph, model.weights, ids));
    expect(error, `of ${unlike}`).toBeLessThan(unlike / 5);
    expect(error).toBeLessThan(3e-5);
    const cut = { mode: "bounded", chunks: [5, 16, 2, 1, 11], units: 7, backward: true } as const;
    expect((await feedSimulated(simulated, ids, cut)).logits).toEqual(logits);
    // Exact mode of the same build keeps f32.
    const dense = await feedSimulated(simulated, ids, { mode: "exact" });
    expect(relativeError(dense.logits, exact)).toBeLessThan(2e-6);
    // In lossless mode, drafts read f16 beside it.
    const text = (mode: "exact" | "lossless") => generateSimulated(simulated, ids.slice(0, 20), 30, mode);
    expect(await text("lossless")).toEqual(await text("exact"));
    model.weights.close();
  },
);
