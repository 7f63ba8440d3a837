import { join } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "../paths.js";
import { readTarget } from "../target.js";
import { checkGolden } from "./golden-testing.js";

/** To accept a change: GSIC_UPDATE_GOLDEN=1 npx vitest run compiler/emit/golden.test.ts */
const folder = join(packageRoot, "compiler/emit/golden");

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
    "gsic_gated_unit_q4_k_64x256_k5",
    "gsic_project_q4_1_256x64",
    "gsic_cache_4x2x16",
    "gsic_head_q6_k_131x256",
  ],
};

test("emitted kernels are the golden ones", async () => {
  const options = { forms: ["gated" as const], k: [5], epsilon: [0.1] };
  const { shown, all } = await checkGolden(folder, readTarget("cpu-portable"), options, chosen);
  expect(shown).toEqual(all);
});
