import { join } from "node:path";
import { expect, test } from "vitest";
import type { Plan } from "../../ir/plan.js";
import { packageRoot } from "../../support/paths.js";
import { checkGolden } from "../../testing/golden.js";
import { h200, mi300x, shapedAs } from "../../testing/simulation.js";
import { withForm } from "../../testing/tiers.js";

/** To accept a change: GSIC_UPDATE_GOLDEN=1 npx vitest run compiler/emit/gpu/golden.test.ts */
const folder = (name: string) => join(packageRoot, "compiler/emit/gpu/golden", name);

const options = { forms: ["gated" as const], k: [5], epsilon: [0.1] };

test("kernels of every template are the golden ones, with and without what it selects", async () => {
  const { shown, all } = await checkGolden(folder("mi300x"), mi300x, options, {
    "gpt2-bf16": [
      "gsic_embed_34",
      "gsic_project_bf16_102x34_k5_layer",
      "gsic_project_bf16_136x34_layer",
      "gsic_attend_2x2x17",
      "gsic_choose_97",
    ],
    "llama-gguf": [
      "gsic_glu_q4_k_64x256_k5_rms",
      "gsic_project_q4_1_256x64",
      "gsic_attend_4x2x16",
      "gsic_head_q6_k_131x256_rms",
    ],
    "gemma3-f32": ["gsic_rms_norm_30", "gsic_attend_3x1x12"],
  });
  expect(shown).toEqual(all.filter((template) => template !== "read"));
});

test("kernels whose coordinates an earlier launch computes are the golden ones", async () => {
  await checkGolden(folder("given"), shapedAs(h200, { cacheBandwidthPerUnit: 1 }), options, {
    "gpt2-bf16": ["gsic_basis_5x34_layer", "gsic_project_bf16_102x34_k5_layer"],
  });
});

test("kernels of every tier are the golden ones", async () => {
  const exact = { projections: 3, threshold: 0.2 };
  const quantizer = { bits: 5, group: 32, symmetric: false } as const;
  const form = { gate: { k: 5, epsilon: 0.1 }, tier: { quantizer, rank: 8, exact } } as const;
  const planned = (plan: Plan) => withForm(plan, form, (id) => id !== plan.graph.output);
  const chosen = { "gpt2-bf16": ["gsic_project_int5_r8_102x34_k5_layer"] };
  await checkGolden(folder("tiered"), mi300x, options, chosen, planned);
});
