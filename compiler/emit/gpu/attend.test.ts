import { describe, expect, test } from "vitest";
import { relativeError } from "../../check/check.js";
import { referenceLogits } from "../../oracle/reference.js";
import { attentionCases, attentionModel, vocabulary } from "../../testing/attention.js";
import { densePlan, noFactors } from "../../testing/fixtures.js";
import { feedSimulated, h200, mi300x, simulatedBundle } from "../../testing/simulation.js";

describe.each([mi300x, h200])(
  "attention on $name is right, and the same bits however tokens are cut into passes",
  (target) => {
    for (const { tokens = 70, ...attention } of attentionCases) {
      test(`${JSON.stringify(attention)}, ${tokens} tokens`, async () => {
        const model = await attentionModel(attention, tokens);
        const ids = Array.from({ length: tokens }, (_, i) => (i * i * 7 + (i >> 2)) % vocabulary);
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
