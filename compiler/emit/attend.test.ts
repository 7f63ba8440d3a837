import { describe, expect, test } from "vitest";
import { relativeError } from "../check/check.js";
import { referenceLogits } from "../oracle/reference.js";
import { type Attention, attentionCases, attentionModel, vocabulary } from "../testing/attention.js";
import { densePlan, noFactors, skipOtherTargets, testTargets, writeTestBundle } from "../testing/fixtures.js";
import { feed } from "../testing/kernels.js";

/** More queries of a head of the cache than go through it together, and several blocks of positions. */
const long: readonly Attention[] = [
  { heads: 6, kvHeads: 2, headDim: 33, tokens: 600 },
  { heads: 3, kvHeads: 1, headDim: 64, window: 130, tokens: 600 },
];

await skipOtherTargets();

describe("attention on CPUs is right, and the same bits however tokens are cut into passes", () => {
  for (const { tokens = 70, ...attention } of [...attentionCases.slice(0, 4), ...long])
    test(`${JSON.stringify(attention)}, ${tokens} tokens`, async () => {
      const model = await attentionModel(attention, tokens);
      const ids = Array.from({ length: tokens }, (_, i) => (i * i * 7 + (i >> 2)) % vocabulary);
      const expected = referenceLogits(model.graph, model.weights, ids);
      const targets = await testTargets();
      const bundle = await writeTestBundle(model, densePlan, ["exact"], noFactors, targets);
      for (const target of targets) {
        const { logits } = await feed(bundle, ids, { target, mode: "exact" });
        expect(relativeError(logits, expected), target.name).toBeLessThan(2e-6);
        for (const [chunks, threads] of [
          [[1], 2],
          [[5, 16, 2, 1, 11], 3],
          [[15], 1],
        ] as const)
          expect(
            (await feed(bundle, ids, { target, mode: "exact", chunks, threads })).logits,
            `${target.name}: passes of ${chunks}, ${threads} threads`,
          ).toEqual(logits);
      }
      model.weights.close();
    });
});
