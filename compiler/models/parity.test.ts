import { describe, expect, test } from "vitest";
import { relativeError } from "../check/check.js";
import { evaluatePlan } from "../oracle/reference-plan.js";
import { makePlan } from "../passes/index.js";
import {
  densePlan,
  fixtureNames,
  nativeLogits,
  noFactors,
  onnxFixtureNames,
  openFixture,
  skipOtherTargets,
  testTargets,
  writeTestBundle,
} from "../testing/fixtures.js";
import { chosenFactors, feed } from "../testing/kernels.js";

/** These have every element type and wiring between them; the others run on this machine's best target alone. */
const onEveryTarget = [
  "gemma3-f32",
  "gpt2-bf16",
  "gpt2-f16",
  "llama-gguf",
  "llama-nf4",
  "llama-rope-theta",
  "mistral-window",
  "qwen2-gptq",
  "qwen3-compressed",
];

await skipOtherTargets();

describe("logits of the emitted kernels agree with Hugging Face transformers", () => {
  for (const name of [...fixtureNames(), ...onnxFixtureNames()]) {
    test(name, async () => {
      const { model, ids, logits } = await openFixture(name);
      const targets = onEveryTarget.includes(name) ? await testTargets() : (await testTargets()).slice(0, 1);
      for (const target of targets) {
        const bundle = await writeTestBundle(model, densePlan, ["exact"], noFactors, [target]);
        const found = await nativeLogits(bundle, ids, "exact");
        expect(relativeError(found, logits), target.name).toBeLessThanOrEqual(1e-4);
      }
      model.weights.close();
    });
  }
});

/** Wirings that the fixtures of emit/gated.test.ts do not have, with k and epsilon. */
const gatedFixtures = [
  ["gptj-f32", 5, 0.85],
  ["opt-350m", 4, 0.8],
  ["phi3-gguf", 6, 0.9],
  ["gemma3-f32", 5, 0.85],
] as const;

describe("gated plans of the other families agree with their float64 oracle, however tokens are cut into passes", () => {
  for (const [name, k, epsilon] of gatedFixtures) {
    test(name, async () => {
      const { model, ids } = await openFixture(name);
      const target = (await testTargets())[0]!;
      const factors = chosenFactors(model, k, ids);
      const options = { forms: ["gated" as const], k: [k], epsilon: [epsilon] };
      const plan = makePlan(model.graph, { options });
      const expected = await evaluatePlan(plan, model.weights, ids, factors);
      const all = [...expected.rho.values()].flatMap((values) => [...values]);
      expect(Math.min(...all.map((value) => Math.abs(value - epsilon)))).toBeGreaterThan(1e-5);
      const closed = all.filter((value) => value < epsilon).length;
      const bundle = await writeTestBundle(model, options, ["bounded", "exact"], factors, [target]);
      const found = await feed(bundle, ids, { target, mode: "bounded" });
      expect(relativeError(found.logits, expected.logits)).toBeLessThanOrEqual(1e-4);
      expect([found.fast, found.slow]).toEqual([closed, all.length - closed]);
      expect(Math.min(found.fast, found.slow)).toBeGreaterThan(10);
      for (const mode of ["bounded", "exact"] as const) {
        const whole = await feed(bundle, ids, { target, mode });
        for (const chunks of [[1], [3, 5, 2], [15]]) {
          expect(await feed(bundle, ids, { target, mode, chunks, threads: 2 }), `${mode} ${chunks}`).toEqual(
            whole,
          );
        }
      }
      model.weights.close();
    });
  }
});
