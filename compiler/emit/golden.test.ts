import { join } from "node:path";
import { expect, test } from "vitest";
import { readTarget } from "../config/targets.js";
import type { Plan } from "../ir/plan.js";
import { packageRoot } from "../support/paths.js";
import { checkGolden } from "../testing/golden.js";
import { withForm } from "../testing/tiers.js";

/** To accept a change: GSIC_UPDATE_GOLDEN=1 npx vitest run compiler/emit/golden.test.ts */
const folder = (name: string) => join(packageRoot, "compiler/emit", name);

/** Kernels that show every template, with and without what it selects. */
const chosen = {
  "gpt2-bf16": [
    "gsic_embed_34",
    "gsic_layer_norm_34",
    "gsic_basis_5x34",
    "gsic_project_bf16_102x34_k5",
    "gsic_project_bf16_136x34",
    "gsic_attend_2x2x17",
  ],
  "llama-gguf": [
    "gsic_rms_norm_256",
    "gsic_glu_q4_k_64x256_k5",
    "gsic_project_q4_1_256x64",
    "gsic_cache_4x2x16",
    "gsic_head_q6_k_131x256",
  ],
};

test("emitted kernels are the golden ones", async () => {
  const options = { forms: ["gated" as const], k: [5], epsilon: [0.1] };
  const { shown, all } = await checkGolden(folder("golden"), readTarget("cpu-portable"), options, chosen);
  expect(shown).toEqual(all);
});

test("kernels of tiers at few bits are the golden ones", async () => {
  const exact = { projections: 3, threshold: 0.2 };
  const tier = { quantizer: { bits: 5, group: 32, symmetric: true }, rank: 8, exact: null } as const;
  const forms = {
    "gpt2-bf16": { gate: { k: 5, epsilon: 0.1 }, tier: { ...tier, exact } },
    "llama-bf16": { gate: null, tier },
  } as const;
  const planned = (plan: Plan) =>
    withForm(
      plan,
      forms[plan.graph.family === "gpt2" ? "gpt2-bf16" : "llama-bf16"],
      (id) => id !== plan.graph.output,
    );
  const options = { forms: ["dense" as const], k: [1], epsilon: [1] };
  const kernels = {
    "gpt2-bf16": ["gsic_project_int5_r8_102x34_k5"],
    "llama-bf16": ["gsic_glu_int5_r8_58x42"],
  };
  await checkGolden(folder("golden-tiers"), readTarget("cpu-portable"), options, kernels, planned);
});
