import { describe, expect, test } from "vitest";
import { relativeError } from "../../check/check.js";
import {
  densePlan,
  noFactors,
  openFixture,
  plainFixtureNames,
  testTargets,
  writeTestBundle,
} from "../../testing/fixtures.js";
import { generate } from "../../testing/kernels.js";
import { feedSimulated, generateSimulated, h200, mi300x, simulatedBundle } from "../../testing/simulation.js";

/** Every element type, and most of the wiring; the others run on waves of 64 lanes alone. */
const onBoth = [
  "gemma3-f32",
  "gpt2-bf16",
  "gpt2-f16",
  "gptj-f32",
  "llama-gguf",
  "opt-350m",
  "qwen2-gptq",
  "qwen3-bf16",
  "qwen3-compressed",
];

describe("simulated kernels agree with Hugging Face transformers", () => {
  for (const name of [...plainFixtureNames(), "llama-nf4", "qwen2-gptq", "qwen3-compressed"]) {
    test(name, async () => {
      const { model, ids, logits } = await openFixture(name);
      for (const target of onBoth.includes(name) ? [mi300x, h200] : [mi300x]) {
        const simulated = await simulatedBundle(model, densePlan, ["exact"], noFactors, target);
        const found = await feedSimulated(simulated, ids);
        expect(relativeError(found.logits, logits), target.name).toBeLessThanOrEqual(1e-4);
      }
      model.weights.close();
    });
  }
});

describe("the device chooses the tokens that the CPU chooses", () => {
  for (const [name, target] of [
    ["gpt2-bf16", mi300x],
    ["llama-gguf", mi300x],
    ["llama-rope-theta", h200],
  ] as const) {
    test(`${name} on ${target.name}`, async () => {
      const { model, ids } = await openFixture(name);
      const simulated = await simulatedBundle(model, densePlan, ["exact"], noFactors, target);
      const cpu = (await testTargets())[0]!;
      const bundle = await writeTestBundle(model, densePlan, ["exact"], noFactors, [cpu]);
      for (const prompt of [ids.slice(0, 1), ids.slice(0, 18)]) {
        const expected = await generate(bundle, prompt, 12, { target: cpu, mode: "exact" });
        expect(expected).toHaveLength(12);
        expect(await generateSimulated(simulated, prompt, 12)).toEqual(expected);
      }
      model.weights.close();
    });
  }
});
