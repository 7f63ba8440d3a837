import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Kernel } from "../ir.js";
import { makePlan } from "../passes/index.js";
import { packageRoot } from "../paths.js";
import { schedule } from "../schedule/program.js";
import { readTarget } from "../target.js";
import { openFixture } from "../testing.js";

/**
 * Emitted kernels as files, so that a change of a template is read as a change of kernels. To accept one:
 * GSIC_UPDATE_GOLDEN=1 npx vitest run compiler/emit/golden.test.ts
 */
const folder = join(packageRoot, "compiler/emit/golden");

/** Kernels that show every template, with and without what it selects. */
const chosen: Readonly<Record<string, readonly string[]>> = {
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

async function kernelsOf(fixture: string): Promise<readonly Kernel[]> {
  const { model } = await openFixture(fixture);
  model.weights.close();
  const options = { forms: ["gated" as const], k: [5], epsilon: [0.1] };
  return schedule(makePlan(model.graph, { options }), ["bounded", "exact"], readTarget("cpu-portable"))
    .kernels;
}

test("emitted kernels are the golden ones", async () => {
  const found = new Map<string, string>();
  const templates = new Set<string>();
  for (const [fixture, symbols] of Object.entries(chosen)) {
    const kernels = await kernelsOf(fixture);
    for (const symbol of symbols) {
      const kernel = kernels.find((candidate) => candidate.symbol === symbol);
      expect(kernel, `${symbol} among ${kernels.map((one) => one.symbol).join(", ")}`).toBeDefined();
      found.set(`${fixture}.${symbol}.cpp`, kernel!.source);
      templates.add(kernel!.template);
    }
  }
  expect([...templates].sort()).toEqual(["attend", "cache", "embed", "gated_unit", "norm", "project"]);
  if (process.env.GSIC_UPDATE_GOLDEN === "1") {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (const [file, source] of found) writeFileSync(join(folder, file), source);
  }
  expect(readdirSync(folder).sort()).toEqual([...found.keys()].sort());
  for (const [file, source] of found) expect(source, file).toBe(readFileSync(join(folder, file), "utf8"));
});
