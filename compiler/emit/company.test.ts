import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runTool } from "../cc/tool.js";
import type { Mode } from "../ir/program.js";
import {
  densePlan,
  noFactors,
  openFixture,
  plainFixtureNames,
  temporaryFolder,
  testTargets,
  writeTestBundle,
} from "../testing/fixtures.js";
import { chosenFactors } from "../testing/kernels.js";
import { h200, mi300x, simulatedBundle } from "../testing/simulation.js";

/** What `gsic-tool company` counts. */
interface Company {
  readonly passes: number;
  readonly drafts: number;
  readonly columns: number;
  readonly compared: number;
  readonly differing: number;
}

/** Passes of columns of several texts in any order; their logits against those of the texts alone. */
async function inCompany(
  bundle: string,
  mode: Mode,
  passes: number,
  {
    threads = 2,
    environment = {},
  }: { threads?: number; environment?: Readonly<Record<string, string>> } = {},
): Promise<Company> {
  const args = ["--mode", mode, "--passes", String(passes), "--threads", String(threads)];
  return JSON.parse(await runTool(["company", bundle, ...args], () => {}, environment)) as Company;
}

/** These have every wiring; the others run on this machine's best target alone. */
const onEveryTarget = ["gemma3-f32", "gpt2-f16", "llama-rope-theta", "mistral-window"];

describe("the logits of a token have the same bits alone and in any company, on any number of threads", () => {
  for (const name of plainFixtureNames())
    test(name, async () => {
      const { model } = await openFixture(name);
      const targets = onEveryTarget.includes(name) ? await testTargets() : (await testTargets()).slice(0, 1);
      for (const target of targets) {
        const bundle = await writeTestBundle(model, densePlan, ["exact"], noFactors, [target]);
        for (const threads of [1, 3]) {
          const found = await inCompany(bundle, "exact", 200, { threads });
          expect(found.differing, `${target.name}, ${threads} threads`).toBe(0);
          expect(found.compared).toBeGreaterThan(100 * model.graph.vocabulary);
        }
      }
      model.weights.close();
    });
});

describe("so do those of gated plans, and of exact weights that verify drafts", () => {
  for (const [name, k, epsilon] of [
    ["gptj-f32", 5, 0.85],
    ["gemma3-f32", 5, 0.85],
    ["phi3-gguf", 6, 0.9],
  ] as const)
    test(name, async () => {
      const { model, ids } = await openFixture(name);
      const options = { forms: ["gated" as const], k: [k], epsilon: [epsilon] };
      const modes = ["bounded", "exact", "lossless"] as const;
      const bundle = await writeTestBundle(model, options, modes, chosenFactors(model, k, ids));
      for (const mode of ["bounded", "lossless"] as const) {
        const found = await inCompany(bundle, mode, 300);
        expect(found.differing, mode).toBe(0);
        expect(found.drafts > 0, mode).toBe(mode === "lossless");
      }
      model.weights.close();
    });
});

describe("so do those of a GPU's kernels, on simulated lanes", () => {
  for (const [name, target] of [
    ["gpt2-bf16", mi300x],
    ["mistral-window", h200],
    ["qwen3-bf16", mi300x],
  ] as const)
    test(`${name} on ${target.name}`, async () => {
      const { model } = await openFixture(name);
      const { bundle, environment } = await simulatedBundle(model, densePlan, ["exact"], noFactors, target);
      const variables = environment(join(await temporaryFolder(), "account.json"));
      const found = await inCompany(bundle, "exact", 12, { environment: variables });
      expect(found).toMatchObject({ passes: 12, differing: 0 });
      model.weights.close();
    });
});
