import { join } from "node:path";
import { expect, test } from "vitest";
import type { Form } from "../ir/plan.js";
import type { Model } from "../models/model.js";
import { packageRoot } from "../support/paths.js";
import { fixtureNames, openFixture } from "../testing/fixtures.js";
import { compareGolden } from "../testing/golden.js";
import { planOf } from "../testing/tiers.js";
import { fuse } from "./fuse.js";
import { lower } from "./lower.js";
import { stepsText } from "./steps-text.js";

/** A fixture of every family, and those that are wired otherwise. */
const shown = [
  "gemma3-f32",
  "gpt2-bf16",
  "gptj-f32",
  "llama-biases",
  "llama-gguf",
  "mistral-window",
  "opt-350m", // norms behind the residuals, and linears around the layers
  "opt-f32",
  "opt-no-final-norm",
  "phi3-longrope",
  "qwen2-f32",
  "qwen3-f32",
];

const everyTier: Form = {
  gate: { k: 8, epsilon: 0.2 },
  tier: {
    rank: 4,
    quantizer: { bits: 4, group: 32, symmetric: false },
    exact: { projections: 8, threshold: 0.2 },
  },
};

/** To accept a change: GSIC_UPDATE_GOLDEN=1 npx vitest run compiler/lower/golden.test.ts */
test("steps are the golden ones, for every family", async () => {
  const found = new Map<string, string>();
  const families = new Set<string>();
  const all = new Set<string>();
  for (const name of fixtureNames()) {
    const { model } = await openFixture(name);
    model.weights.close();
    all.add(model.graph.family);
    if (!shown.includes(name)) continue;
    families.add(model.graph.family);
    found.set(`${name}.txt`, textOf(model));
  }
  expect([...families].sort()).toEqual([...all].sort());
  compareGolden(join(packageRoot, "compiler/lower/golden"), found);
});

function textOf(model: Model): string {
  const dense = lower(planOf(model, { gate: null, tier: null }));
  const tiered = lower(planOf(model, everyTier));
  const sections = {
    Dense: dense,
    "With every gate and tier": tiered,
    "With every gate and tier, on a GPU": fuse(
      tiered,
      () => false,
      ({ window }) => ({ width: window ?? 0, staged: 0, combined: window !== null }),
    ),
  };
  return Object.entries(sections)
    .map(([title, steps]) => `# ${title}\n${stepsText(steps)}`)
    .join("\n");
}
