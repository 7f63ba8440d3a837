import { describe, expect, test } from "vitest";
import { relativeError } from "../check/check.js";
import { withCache } from "../ir/cache.js";
import { referenceLogits } from "../oracle/reference.js";
import { makePlan } from "../passes/index.js";
import { type Attention, attentionCases, attentionModel, vocabulary } from "../testing/attention.js";
import {
  densePlan,
  noFactors,
  skipOtherTargets,
  testTargets,
  writePlanBundle,
  writeTestBundle,
} from "../testing/fixtures.js";
import { feed } from "../testing/kernels.js";

/** More queries of a head of the cache than go through it together, and several blocks of positions. */
const long: readonly Attention[] = [
  { heads: 6, kvHeads: 2, headDim: 33, tokens: 600 },
  { heads: 3, kvHeads: 1, headDim: 64, window: 130, tokens: 600 },
];

const someIds = (tokens: number) =>
  Array.from({ length: tokens }, (_, i) => (i * i * 7 + (i >> 2)) % vocabulary);

await skipOtherTargets();

describe("attention on CPUs is right, and the same bits however tokens are cut into passes", () => {
  for (const { tokens = 70, ...attention } of [...attentionCases.slice(0, 4), ...long])
    test(`${JSON.stringify(attention)}, ${tokens} tokens`, async () => {
      const model = await attentionModel(attention, tokens);
      const ids = someIds(tokens);
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

describe("a cache that rounds gives what the oracle gives with keys and values rounded so", () => {
  for (const [type, most] of [
    ["f16", 1e-5],
    ["int8", 1e-4],
  ] as const)
    for (const { tokens = 70, ...attention } of [attentionCases[0]!, ...long])
      test(`${type}: ${JSON.stringify(attention)}, ${tokens} tokens`, async () => {
        const model = await attentionModel(attention, tokens);
        const ids = someIds(tokens);
        const plan = makePlan(withCache(model.graph, type), { options: densePlan });
        const expected = referenceLogits(plan.graph, model.weights, ids);
        const exact = referenceLogits(model.graph, model.weights, ids);
        const targets = await testTargets();
        const bundle = await writePlanBundle(model, plan, ["bounded", "exact"], noFactors, targets);
        for (const target of targets) {
          const { logits } = await feed(bundle, ids, { target, mode: "bounded" });
          expect(relativeError(logits, expected), target.name).toBeLessThan(most);
          expect(relativeError(logits, exact), target.name).toBeGreaterThan(most);
          const dense = await feed(bundle, ids, { target, mode: "exact" });
          expect(relativeError(dense.logits, exact), target.name).toBeLessThan(2e-6);
          const cut = { target, mode: "bounded", chunks: [5, 16, 2, 1, 11], threads: 3 } as const;
          expect((await feed(bundle, ids, cut)).logits, target.name).toEqual(logits);
        }
        model.weights.close();
      });
});
