import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { compileFor } from "../cc/index.js";
import { withCache } from "../ir/cache.js";
import type { CacheType } from "../ir/graph.js";
import type { Form } from "../ir/plan.js";
import type { ProgramMode } from "../ir/program.js";
import type { QuantizedSource } from "../ir/steps.js";
import type { QuantizedLinear } from "../layout/quantizer.js";
import { evaluatePlan } from "../oracle/reference-plan.js";
import { writeModelBundle } from "../pack/assemble.js";
import type { FactorSource } from "../pack/weights.js";
import { schedule } from "../schedule/program.js";
import { silent } from "../support/progress.js";
import { openFixture, temporaryFolder, testTargets } from "../testing/fixtures.js";
import { planOf, roundedFactors } from "../testing/tiers.js";
import { selfCheck } from "./check.js";

const target = (await testTargets())[0]!;
const tier = { quantizer: { bits: 5, group: 32, symmetric: true }, rank: 8, exact: null } as const;
const exact = { projections: 4, threshold: 1e9 };
const modes: readonly ProgramMode[] = ["bounded", "exact"];
type Content = QuantizedLinear;

/** Turns the lowest bit of the first element. */
function flip(values: Uint8Array | Int8Array): void {
  values[0]! ^= 1;
}

/** A finished bundle of a fixture, as a self-check sees it; packed from what `spoil` leaves of its factors. */
async function finished(
  name: string,
  form: Form,
  spoil?: (source: QuantizedSource, content: Content) => void,
  cache: CacheType = "f32",
) {
  const { model, ids } = await openFixture(name);
  const dense = planOf(model, form);
  const plan = { ...dense, graph: withCache(dense.graph, cache) };
  const factors = roundedFactors(model, form.gate?.k ?? 1, ids);
  const spoiled: FactorSource = {
    ...factors,
    quantized: async (source) => {
      const content = await factors.quantized(source);
      spoil?.(source, content);
      return content;
    },
  };
  const scheduled = schedule(plan, modes, target);
  const code = [await compileFor(scheduled.kernels, target)];
  const bundle = join(await temporaryFolder(), "model.gsi");
  const content = { model, plan, schedule: scheduled, modes, code, factors: spoiled };
  const weightsBegin = await writeModelBundle(bundle, content);
  const shaped = { targets: [target], shapedBy: target, scheduled, progress: silent };
  return { bundle, weightsBegin, model, plan, factors, modes, ...shaped };
}

describe("a bundle's rewritten linears", () => {
  const cases: readonly (readonly [fixture: string, form: Form, most: number])[] = [
    ["gpt2-bf16", { gate: null, tier }, 5e-4],
    ["llama-bf16", { gate: null, tier: { ...tier, exact } }, 5e-4],
    ["llama-bf16", { gate: { k: 7, epsilon: 1 }, tier: null }, 1e-5],
    ["gpt2-bf16", { gate: { k: 5, epsilon: 1e-6 }, tier }, 5e-4],
  ];
  test.each(cases)("are compared with the oracle of the plan: %s, %o", async (name, form, most) => {
    const options = await finished(name, form);
    const { forms, otherError, tokens } = await selfCheck(options);
    expect(forms!.tokens).toBe(tokens);
    expect(forms!.error).toBeLessThan(most);
    expect(otherError).toBeGreaterThan(10 * forms!.error!);
    const matrices = options.scheduled.weights.items.filter(
      ({ content }) => content.kind === "matrix" && "quantizer" in content.source,
    );
    expect(forms!.matrices).toBe(matrices.length);
    options.model.weights.close();
  });

  const wrong: readonly (readonly [what: string, kind: string, change: (content: Content) => void])[] = [
    ["Q", "quantized", ({ matrix }) => flip(matrix.q)],
    ["a group's scale", "quantized", ({ matrix }) => flip(matrix.scales)],
    ["a row's scale", "quantized", ({ matrix }) => flip(new Uint8Array(matrix.rowScales.buffer))],
    ["A", "quantized", ({ lowRank }) => flip(lowRank!.a)],
    ["B", "correction", ({ matrix }) => flip(matrix.q)],
    ["S", "projections", ({ matrix }) => flip(matrix.q)],
  ];
  test.each(wrong)("are refused for one wrong bit of %s", async (_, kind, change) => {
    let spoiled = 0;
    const form = { gate: null, tier: { ...tier, exact } } as const;
    const options = await finished("llama-bf16", form, (source, content) => {
      if (source.kind === kind && spoiled++ === 1) change(content);
    });
    await expect(selfCheck(options)).rejects.toThrow(/self-check failed: .* is not what was made for it/);
    options.model.weights.close();
  });

  test("are refused where the kernels decide or compute otherwise than the plan says", async () => {
    const options = await finished("llama-bf16", { gate: { k: 7, epsilon: 1 }, tier: null });
    const other = planOf(options.model, { gate: { k: 7, epsilon: 1e-6 }, tier: null });
    await expect(selfCheck({ ...options, plan: other })).rejects.toThrow(
      /logits of rewritten linears differ/,
    );
    const larger = {
      ...options.factors,
      async *image(linear: string, k: number) {
        for await (const rows of options.factors.image(linear, k)) yield rows.map((value) => 1.01 * value);
      },
    };
    await expect(selfCheck({ ...options, factors: larger })).rejects.toThrow(
      /logits of rewritten linears differ/,
    );
    options.model.weights.close();
  });
});

test("a cache that rounds behind linears at few bits is compared with the oracle, and no other passes for it", async () => {
  for (const [name, cache] of [
    ["gpt2-bf16", "int8"],
    ["llama-bf16", "f16"],
  ] as const) {
    const options = await finished(name, { gate: null, tier }, undefined, cache);
    const { forms, otherError } = await selfCheck(options);
    expect(forms!.error).toBeLessThan(otherError! / 2);
    if (cache === "int8") {
      const plan = { ...options.plan, graph: withCache(options.plan.graph, "f16") };
      await expect(selfCheck({ ...options, plan })).rejects.toThrow(/logits of rewritten linears differ/);
    }
    options.model.weights.close();
  }
});

describe("decisions that rounding may turn", () => {
  test("end the tokens that are certain, of either gate, unless the first gate decides", async () => {
    const { model, ids } = await openFixture("llama-bf16");
    const factors = roundedFactors(model, 5, ids);
    const evaluate = (form: Form) =>
      evaluatePlan(planOf(model, form), model.weights, ids, factors, { tolerance: 1e-9 });
    const open: Form = { gate: { k: 5, epsilon: 1e-6 }, tier: null };
    const rho = [...(await evaluate(open)).rho.values()][0]!;
    const token = rho.indexOf(rho.toSorted().at(10)!);
    expect((await evaluate(open)).certain).toBe(ids.length);
    expect((await evaluate({ gate: { k: 5, epsilon: rho[token]! }, tier: null })).certain).toBe(token);

    const tiered: Form = { gate: null, tier: { ...tier, exact } };
    const predicted = [...(await evaluate(tiered)).predicted.values()][0]!;
    const near = { projections: 4, threshold: predicted[5]! };
    expect((await evaluate({ gate: null, tier: { ...tier, exact: near } })).certain).toBe(5);
    const both = (epsilon: number): Form => ({ gate: { k: 5, epsilon }, tier: { ...tier, exact: near } });
    expect((await evaluate(both(1e-6))).certain).toBe(5);
    expect((await evaluate(both(2))).certain).toBe(ids.length);
    model.weights.close();
  });

  test("leave the tokens before them to be compared", async () => {
    const first = await finished("llama-bf16", { gate: { k: 7, epsilon: 1e-6 }, tier: null });
    const ids = Array.from({ length: 19 }, (_, i) => (7 + i * 7919) % first.plan.graph.vocabulary);
    const { rho } = await evaluatePlan(first.plan, first.model.weights, ids, first.factors);
    first.model.weights.close();
    const options = await finished("llama-bf16", {
      gate: { k: 7, epsilon: [...rho.values()][0]![4]! },
      tier: null,
    });
    const { forms, tokens } = await selfCheck(options);
    expect(tokens).toBe(19);
    expect(forms!.tokens).toBeLessThanOrEqual(4);
    options.model.weights.close();
  });
});
