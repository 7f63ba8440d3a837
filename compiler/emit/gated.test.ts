import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runTool } from "../cc/tool.js";
import { relativeError } from "../check/check.js";
import type { ValueId } from "../ir/graph.js";
import { referenceLogits } from "../oracle/reference.js";
import { evaluatePlan } from "../oracle/reference-plan.js";
import { makePlan } from "../passes/index.js";
import { readTensors } from "../read/safetensors-write.js";
import {
  nativeLogits,
  openFixture,
  skipOtherTargets,
  temporaryFolder,
  testTargets,
  writeTestBundle,
} from "../testing/fixtures.js";
import { gateModel, thresholdCases, tierCases, twoLaunchLogits, twoLaunchModel } from "../testing/gates.js";
import { chosenFactors, feed } from "../testing/kernels.js";

const gated = (k: number, epsilon: number) => ({ forms: ["gated" as const], k: [k], epsilon: [epsilon] });

/** Tokens with a closed gate, by input, among the first `count`. */
function closedCounts(rho: ReadonlyMap<ValueId, Float64Array>, epsilon: number, count: number) {
  return [...rho].map(([input, values]) => ({
    input,
    closed: values.subarray(0, count).filter((value) => value < epsilon).length,
  }));
}

/** What `gsic-tool evaluate` measures of one window. */
async function evaluate(bundle: string, ids: readonly number[]) {
  const folder = await temporaryFolder();
  await writeFile(join(folder, "ids"), Int32Array.from(ids));
  const out = join(folder, "out");
  const settings = ["--window", String(ids.length), "--ids-file", join(folder, "ids"), "--out", out];
  await runTool(["evaluate", bundle, ...settings]);
  const { tensors, metadata } = await readTensors(out);
  const tiers = Array.from(tensors.get("gates:bounded")!.data as BigInt64Array, Number);
  const [inputs] = JSON.parse(metadata.get("gates")!) as [ValueId[]];
  return {
    closed: inputs.map((input, i) => ({ input, closed: tiers[2 * i]! })),
    counted: inputs.map((_, i) => tiers[2 * i]! + tiers[2 * i + 1]!),
    nll: tensors.get("nll")!.data as Float32Array,
    kl: tensors.get("kl")!.data as Float32Array,
    top1: tensors.get("same_top1")!.data as Uint8Array,
  };
}

/** log softmax of one row. */
function logSoftmax(row: Float64Array): Float64Array {
  const most = row.reduce((a, b) => Math.max(a, b));
  const sum = row.reduce((total, value) => total + Math.exp(value - most), 0);
  return row.map((value) => value - most - Math.log(sum));
}

const best = (await testTargets()).slice(0, 1);

/**
 * Fixtures, k, and values of epsilon: almost 0 opens every gate, 1 closes every gate, one between does both. Not every
 * fixture has all three, since each costs its kernels' compilation.
 */
const cases = [
  ["gpt2-bf16", 5, [1e-6, 0.9, 1]],
  ["llama-bf16", 7, [0.85, 1]],
  ["llama-biases", 5, [1e-6, 0.85]],
  ["llama-gguf", 7, [0.95]],
] as const;

describe("the gated form agrees with its float64 oracle", () => {
  for (const [name, k, epsilons] of cases) {
    test(name, async () => {
      const { model, ids } = await openFixture(name);
      const { graph, weights } = model;
      const factors = chosenFactors(model, k, ids);

      for (const epsilon of epsilons) {
        const plan = makePlan(graph, { options: gated(k, epsilon) });
        const expected = await evaluatePlan(plan, weights, ids, factors);
        const all = [...expected.rho.values()].flatMap((values) => [...values]);
        // Away from the threshold, f32 and float64 must decide alike.
        expect(Math.min(...all.map((value) => Math.abs(value - epsilon)))).toBeGreaterThan(1e-5);
        const share = all.filter((value) => value < epsilon).length / all.length;
        if (epsilon === 1) expect(share).toBe(1);
        else if (epsilon === 1e-6) expect(share).toBe(0);
        else expect(Math.abs(share - 0.5)).toBeLessThan(0.45);

        const bundle = await writeTestBundle(model, gated(k, epsilon), ["bounded", "exact"], factors, best);
        const logits = await nativeLogits(bundle, ids, "bounded");
        expect(relativeError(logits, expected.logits)).toBeLessThan(1e-4);
        // The slow tier is the dense kernel, bit for bit.
        if (share === 0) expect(logits).toEqual(await nativeLogits(bundle, ids, "exact"));

        const found = await evaluate(bundle, ids);
        expect(found.closed).toEqual(closedCounts(expected.rho, epsilon, ids.length - 1));
        expect(found.counted.every((count) => count === ids.length - 1)).toBe(true);
        const dense = referenceLogits(graph, weights, ids);
        for (let token = 0; token + 1 < ids.length; token++) {
          const row = (logits: Float64Array) =>
            logSoftmax(logits.subarray(token * graph.vocabulary, (token + 1) * graph.vocabulary));
          const [p, q] = [row(dense), row(expected.logits)];
          const kl = p.reduce((sum, value, i) => sum + Math.exp(value) * (value - q[i]!), 0);
          expect(Math.abs(found.nll[token]! + q[ids[token + 1]!]!)).toBeLessThan(1e-3);
          expect(Math.abs(found.kl[token]! - kl)).toBeLessThan(1e-4 + 1e-3 * kl);
          expect(found.top1[token]).toBe(Number(p.indexOf(Math.max(...p)) === q.indexOf(Math.max(...q))));
        }
      }
      weights.close();
    });
  }
});

/** Whether each input's gate is closed, by the counters of sessions that end one token later each. */
async function decisions(bundle: string, count: number, target = best[0]!): Promise<boolean[]> {
  const closed: number[] = [0];
  for (let tokens = 1; tokens <= count; tokens++) {
    const ids = Array<number>(tokens).fill(0);
    const { fast, slow } = await feed(bundle, ids, { target, mode: "bounded", logits: false });
    expect(fast + slow).toBe(tokens);
    closed.push(fast);
  }
  return closed.slice(1).map((value, i) => value > closed[i]!);
}

await skipOtherTargets();

describe("the gate", () => {
  test("is closed below epsilon, open at epsilon and above, whatever the scale; NaN keeps it open", async () => {
    const { inputs, basis, epsilon, closed } = thresholdCases;
    const { model, factors } = await gateModel(inputs, basis);
    const bundle = await writeTestBundle(model, gated(3, epsilon), ["bounded"], factors);
    for (const target of await testTargets()) {
      expect(await decisions(bundle, inputs.length, target), target.name).toEqual(closed);
    }
    model.weights.close();
  });

  test("chooses the value: M g + b, or W x + b; of zero it is b", async () => {
    const { inputs, basis, epsilon } = tierCases;
    const { model, factors } = await gateModel(inputs, basis);
    const bundle = await writeTestBundle(model, gated(1, epsilon), ["bounded"], factors, best);
    const ids = Array<number>(inputs.length).fill(0);
    const { logits, fast, slow } = await feed(bundle, ids, { target: best[0]!, mode: "bounded" });
    expect(Array.from(logits)).toEqual(tierCases.logits);
    expect([fast, slow]).toEqual(tierCases.tiers);
    model.weights.close();
  });

  test("counts a token once per input, however many launches read that input", async () => {
    const { model, factors } = await twoLaunchModel();
    const bundle = await writeTestBundle(model, gated(1, 0.7), ["bounded"], factors, best);
    const found = await feed(bundle, [0, 0, 0], { target: best[0]!, mode: "bounded" });
    expect([found.fast, found.slow]).toEqual([2, 1]);
    expect(Array.from(found.logits)).toEqual(twoLaunchLogits);
    model.weights.close();
  });
});
