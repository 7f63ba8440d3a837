import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readTarget } from "../config/targets.js";
import { withCache } from "../ir/cache.js";
import type { DType } from "../ir/graph.js";
import type { Form, Plan } from "../ir/plan.js";
import type { Kernel, ProgramMode } from "../ir/program.js";
import { withCodedWeights } from "../models/coded.js";
import type { Model } from "../models/model.js";
import { writeModelBundle } from "../pack/assemble.js";
import type { FactorSource } from "../pack/weights.js";
import { makePlan } from "../passes/index.js";
import { schedule } from "../schedule/program.js";
import {
  densePlan,
  noFactors,
  openFixture,
  skipOtherTargets,
  temporaryFolder,
  testTargets,
} from "../testing/fixtures.js";
import {
  feed,
  gaussian,
  generate,
  hardInputs,
  linearModel,
  randomBlocks,
  storedAs,
} from "../testing/kernels.js";
import { planOf, roundedFactors } from "../testing/tiers.js";
import { compileGeneric, fillTable } from "./generic.js";
import { compileFor, type LibraryCode } from "./index.js";

const [target] = await testTargets();
const library = await readFile(await compileGeneric(target!));

/** Bundles of a build's own kernels, and of those for all shapes. */
async function bothWays(
  model: Model,
  plan: Plan,
  modes: readonly ProgramMode[],
  factors: FactorSource,
  screenedHead = false,
): Promise<{ expected: string; found: string }> {
  const scheduled = schedule(plan, modes, readTarget("cpu-portable"), { screenedHead });
  const own = (await compileFor(scheduled.kernels, target!)) as LibraryCode;
  const generic = { ...own, bytes: fillTable(library, scheduled.kernels), specialised: false };
  const folder = await temporaryFolder();
  const write = async (name: string, code: LibraryCode) => {
    const path = join(folder, name);
    await writeModelBundle(path, { model, plan, schedule: scheduled, modes, code: [code], factors });
    return path;
  };
  return { expected: await write("own.gsi", own), found: await write("generic.gsi", generic) };
}

/** The same tokens through a build's own kernels and through those for all shapes: every bit is equal. */
async function expectSameBits(
  model: Model,
  plan: Plan,
  modes: readonly ProgramMode[],
  ids: readonly number[],
  factors: FactorSource = noFactors,
): Promise<void> {
  const { expected, found } = await bothWays(model, plan, modes, factors);
  for (const mode of modes)
    for (const [chunks, threads] of [
      [[16], 1],
      [[1, 3, 5, 2], 2],
    ] as const) {
      const feeding = { target: target!, mode, chunks, threads };
      const results = await feed(found, ids, feeding);
      expect(results.logits.some((value) => value !== 0)).toBe(true);
      expect(results, `${mode}, passes of ${chunks}`).toEqual(await feed(expected, ids, feeding));
    }
  model.weights.close();
}

await skipOtherTargets();

const tokens = 18;
/** Every type with rows that have cores of their own in one place, and one for all in the other. */
const linears: readonly (readonly [dtype: DType, out: number, d: number])[] = [
  ["f32", 33, 100],
  ["f16", 5, 31],
  ["bf16", 133, 640],
  ["f32", 5, 1201],
  ["q4_0", 37, 160],
  ["q4_1", 37, 1024],
  ["q4_0", 16, 2080],
  ["q5_0", 37, 160],
  ["q5_1", 130, 608],
  ["q8_0", 37, 2048],
  ["q4_k", 37, 256],
  ["q5_k", 37, 768],
  ["q6_k", 37, 2304],
];

test("a screened head", async () => {
  const [out, d, steps] = [133, 640, 500];
  const random = gaussian(d);
  const floats = (count: number) => Float32Array.from({ length: count }, random);
  const weight = { dtype: "bf16", out, d, bytes: storedAs("bf16", floats(out * d)) } as const;
  const model = await linearModel(floats(steps * d), steps, weight);
  const plan = makePlan(model.graph, { options: densePlan });
  const { expected, found } = await bothWays(model, plan, ["exact"], noFactors, true);
  const feeding = { target: target!, mode: "exact", threads: 2 } as const;
  const choices = await generate(expected, [0], steps, feeding);
  expect(new Set(choices).size).toBeGreaterThan(50);
  expect(await generate(found, [0], steps, feeding)).toEqual(choices);
  model.weights.close();
});

test.each(linears)("a linear of %s [%i, %i]", async (dtype, out, d) => {
  const isFloat = dtype === "f32" || dtype === "f16" || dtype === "bf16";
  const random = gaussian(d);
  const bytes = isFloat
    ? storedAs(dtype, Float32Array.from({ length: out * d }, random))
    : randomBlocks(dtype, out * d, d);
  const model = await linearModel(hardInputs(tokens, d), tokens, { dtype, out, d, bytes });
  const plan = makePlan(model.graph, { options: densePlan });
  await expectSameBits(model, plan, ["exact"], Array<number>(tokens).fill(0));
});

test.each([
  "gemma3-f32",
  "gpt2-bf16",
  "gptj-f32",
  "llama-gguf",
  "mistral-window",
  "opt-350m",
  "phi3-gguf",
  "qwen2-gptq",
  "qwen3-compressed",
])("exact mode of %s", async (name) => {
  const { model, ids } = await openFixture(name);
  await expectSameBits(model, makePlan(model.graph, { options: densePlan }), ["exact"], ids);
});

test.each(["gpt2-bf16", "llama-bf16"])("exact mode of %s in twelve bits a weight", async (name) => {
  const { model, ids } = await openFixture(name);
  const graph = withCodedWeights(model.graph, model.weights);
  const plan = makePlan(graph, { options: densePlan });
  await expectSameBits({ ...model, graph }, plan, ["exact"], ids);
});

test.each(["f16", "int8"] as const)("a cache of %s", async (type) => {
  const { model, ids } = await openFixture("gpt2-bf16");
  const plan = makePlan(withCache(model.graph, type), { options: densePlan });
  await expectSameBits(model, plan, ["bounded"], ids);
});

const tier = { quantizer: { bits: 5, group: 32, symmetric: true }, rank: 8, exact: null } as const;
const asymmetric = { ...tier, quantizer: { bits: 4, group: 64, symmetric: false }, rank: 0 } as const;
const forms: readonly (readonly [fixture: string, form: Form])[] = [
  ["gpt2-bf16", { gate: { k: 5, epsilon: 0.9 }, tier: null }],
  ["gpt2-bf16", { gate: { k: 5, epsilon: 0.9 }, tier }],
  ["llama-bf16", { gate: null, tier: asymmetric }],
  [
    "llama-biases",
    {
      gate: { k: 5, epsilon: 0.85 },
      tier: { ...asymmetric, exact: { projections: 5, threshold: 0.05 } },
    },
  ],
];

test.each(forms)("bounded mode of %s as %j", async (name, form) => {
  const { model, ids } = await openFixture(name);
  await expectSameBits(model, planOf(model, form), ["bounded", "exact"], ids, roundedFactors(model, 5, ids));
});

test("more kernels than there is room for are refused, with what to do", () => {
  const kernel = { symbol: "k", generic: { kind: "norm", words: [1, 0, 0, 0, 0] } } as unknown as Kernel;
  const refused = expect.objectContaining({ code: "compiler-missing" });
  expect(() => fillTable(library, Array<Kernel>(513).fill(kernel))).toThrow(refused);
  const long = { ...kernel, symbol: "k".repeat(96) };
  expect(() => fillTable(library, [long])).toThrow(refused);
  const wide = {
    ...kernel,
    generic: { kind: "attend", words: [1, 1, 257, 9, 0, 257, 0, 0, 0] },
  } as unknown as Kernel;
  expect(() => fillTable(library, [wide])).toThrow(refused);
  expect(fillTable(library, [kernel]).length).toBe(library.length);
});
