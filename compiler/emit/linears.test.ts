import { describe, expect, test } from "vitest";
import { relativeError } from "../check/check.js";
import type { Target } from "../config/target.js";
import type { Form, Plan } from "../ir/plan.js";
import type { ProgramMode } from "../ir/program.js";
import { linearById } from "../ir/walk.js";
import type { Model } from "../models/model.js";
import { evaluateLinear } from "../oracle/reference-plan.js";
import type { FactorSource } from "../pack/weights.js";
import { makePlan } from "../passes/index.js";
import { schedule } from "../schedule/program.js";
import { densePlan, noFactors, openFixture, testTargets, writePlanBundle } from "../testing/fixtures.js";
import { describeLinears, type LinearsHost, randomInputs, runLinears } from "../testing/linears.js";
import { h200, mi300x, simulatedPlan } from "../testing/simulation.js";
import { planOf, roundedFactors } from "../testing/tiers.js";

/** More than one pass. */
const columns = 21;

const quantizer = { bits: 4, group: 32, symmetric: true } as const;
const forms: Readonly<Record<string, Form>> = {
  tiered: { gate: null, tier: { quantizer, rank: 8, exact: null } },
  gated: { gate: { k: 5, epsilon: 0.93 }, tier: null },
  all: {
    gate: { k: 5, epsilon: 0.93 },
    tier: { quantizer, rank: 8, exact: { projections: 4, threshold: 2 } },
  },
};

/** Compares every linear of a bundle with the float64 oracle of its form, however columns are cut into calls. */
async function compare(
  host: LinearsHost,
  model: Model,
  plan: Plan,
  factors: FactorSource,
  limit: number,
): Promise<void> {
  const linears = await describeLinears(host);
  expect(linears.map(({ name }) => name).sort()).toEqual([...plan.linears.keys()].sort());
  const inputs = randomInputs(linears, columns);
  const found = await runLinears(host, linears, inputs);
  let compared = 0;
  for (const { name, call, tensor, first, bias, out, d } of linears) {
    const node = linearById(plan.graph, name);
    expect([tensor, first, out, d, bias]).toEqual([
      node.weight.tensor,
      node.weight.first,
      node.weight.out,
      node.weight.d,
      node.bias !== null,
    ]);
    const x = Float64Array.from(inputs[call]!);
    const { y, certain } = await evaluateLinear(plan, node, x, model.weights, factors, 1e-5);
    compared += certain;
    const ours = found.get(name)!.subarray(0, certain * out);
    expect(relativeError(ours, y.subarray(0, certain * out)), name).toBeLessThanOrEqual(limit);
  }
  expect(compared).toBeGreaterThan((columns * linears.length) / 2);
  const pieces = await runLinears(host, linears, inputs, { chunks: [1, 3, 17], threads: 2 });
  expect(pieces).toEqual(found);
}

async function onCpu(name: string, form: Form | null): Promise<void> {
  const { model, ids } = await openFixture(name);
  const target = (await testTargets())[0]!;
  const mode: ProgramMode = form === null ? "exact" : "bounded";
  const plan = form === null ? makePlan(model.graph, { options: densePlan }) : planOf(model, form);
  const factors = form === null ? noFactors : roundedFactors(model, 5, ids);
  const modes: readonly ProgramMode[] = form === null ? ["exact"] : ["bounded", "exact"];
  const bundle = await writePlanBundle(model, plan, modes, factors, [target], { linears: true });
  // Tiers at few bits round activations to 16 bits.
  const limit = form === null || form.tier === null ? 2e-5 : 1e-4;
  await compare({ bundle, target, mode }, model, plan, factors, limit);
  model.weights.close();
}

describe("linears of their own agree with the float64 oracle", () => {
  // Fused tensors, biases, gate and up, two calls of one input, blocks, projections in and out, quantised checkpoints.
  for (const name of [
    "gpt2-bf16",
    "llama-gguf",
    "gptj-f32",
    "phi3-f32",
    "opt-350m",
    "gemma3-f32",
    "qwen2-f32",
    "llama-fp8",
    "llama-nf4",
    "qwen2-gptq",
    "qwen3-compressed",
  ])
    test(`${name}, dense`, () => onCpu(name, null));
  for (const [form, value] of Object.entries(forms))
    for (const name of ["gpt2-bf16", "llama-untied"]) test(`${name}, ${form}`, () => onCpu(name, value));
});

describe("by device pointers, on simulated lanes", () => {
  for (const target of [mi300x, h200])
    for (const [name, form] of [
      ["gpt2-bf16", "all"],
      ["llama-untied", "tiered"],
      ["llama-gguf", null],
      ["qwen2-gptq", null],
    ] as const)
      test(`${target.name}: ${name}, ${form ?? "dense"}`, async () => {
        const { model, ids } = await openFixture(name);
        const factors = form === null ? noFactors : roundedFactors(model, 5, ids);
        const plan =
          form === null ? makePlan(model.graph, { options: densePlan }) : planOf(model, forms[form]!);
        const modes: readonly ProgramMode[] = form === null ? ["exact"] : ["bounded", "exact"];
        const holding = { linears: true };
        const { bundle, environment } = await simulatedPlan(model, plan, modes, factors, target, holding);
        const host = { bundle, target, mode: modes[0]!, environment: environment("/dev/null") };
        await compare(host, model, plan, factors, 1e-4);
        model.weights.close();
      });
});

test("linears of their own have the kernels and the weights of the passes before them, and no weights besides", async () => {
  for (const name of ["gpt2-bf16", "llama-untied", "phi3-f32"]) {
    const { model } = await openFixture(name);
    for (const target of [(await testTargets())[0]!, mi300x, h200] as readonly Target[]) {
      const plan = planOf(model, forms.all!);
      const without = schedule(plan, ["bounded", "exact"], target);
      const { kernels, weights, programs } = schedule(plan, ["bounded", "exact"], target, { linears: true });
      expect(weights.items).toEqual(without.weights.items);
      const passes = target.device === "cpu" ? without.kernels : without.kernels.slice(0, -1);
      expect(kernels.slice(0, passes.length)).toEqual(passes);
      const body = (program: (typeof programs)[string]) => ({ ...program, linears: [] });
      for (const mode of ["bounded", "exact"]) expect(body(programs[mode]!)).toEqual(without.programs[mode]);
    }
    model.weights.close();
  }
});
