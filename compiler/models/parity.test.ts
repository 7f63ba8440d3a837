import { describe, expect, test } from "vitest";
import { relativeError } from "../selfcheck.js";
import {
  densePlan,
  fixtureNames,
  nativeLogits,
  noFactors,
  openFixture,
  testTargets,
  writeTestBundle,
} from "../testing.js";

/** These have every element type and wiring between them; the others run on this machine's best target alone. */
const onEveryTarget = ["gpt2-bf16", "gpt2-f16", "llama-gguf", "llama-rope-theta"];

describe("logits of the emitted kernels agree with Hugging Face transformers", () => {
  for (const name of fixtureNames()) {
    test(name, async () => {
      const { model, ids, logits } = await openFixture(name);
      const targets = onEveryTarget.includes(name) ? testTargets() : testTargets().slice(0, 1);
      for (const target of targets) {
        const bundle = await writeTestBundle(model, densePlan, ["exact"], noFactors, [target]);
        const found = await nativeLogits(bundle, ids, "exact");
        expect(relativeError(found, logits), target.name).toBeLessThanOrEqual(1e-4);
      }
      model.weights.close();
    });
  }
});
