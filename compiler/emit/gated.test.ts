import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Graph, LinearNode, Node, ValueId } from "../ir.js";
import { runTool } from "../native.js";
import type { FactorSource } from "../pack/weights.js";
import { makePlan } from "../passes/index.js";
import { readTensors } from "../read/safetensors-write.js";
import { referenceLogits } from "../reference.js";
import { relativeError } from "../selfcheck.js";
import { nativeLogits, openFixture, temporaryFolder, testTargets, writeTestBundle } from "../testing.js";
import {
  chosenFactors,
  evaluatePlan,
  feed,
  inputNode,
  matrixRef,
  modelOf,
  storedAs,
} from "./kernel-testing.js";

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
  const tiers = Array.from(tensors.get("tiers")!.data as BigInt64Array, Number);
  const inputs = JSON.parse(metadata.get("tier_inputs")!) as ValueId[];
  return {
    closed: inputs.map((input, i) => ({ input, closed: tiers[2 * i]! })),
    counted: inputs.map((_, i) => tiers[2 * i]! + tiers[2 * i + 1]!),
    nll: tensors.get("nll_mode")!.data as Float32Array,
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

const best = testTargets().slice(0, 1);

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

/**
 * Decides gates of the given inputs: logits = W x + bias of a gated linear, through an identity. The image is far from
 * W V, so that the tier shows in the logits.
 */
async function gateModel(inputs: readonly (readonly number[])[], basis: readonly (readonly number[])[]) {
  const d = inputs[0]!.length;
  const out = 2;
  const [tokens, k] = [inputs.length, basis.length];
  const f32 = (out: number, d: number | null, values: readonly number[]) => ({
    dtype: "f32" as const,
    out,
    d,
    bytes: storedAs("f32", Float32Array.from(values)),
  });
  const nodes: Graph["nodes"] = [
    inputNode("x", "x", tokens, d),
    {
      kind: "linear",
      id: "h",
      input: "x",
      weight: matrixRef("w", "f32", out, d),
      bias: { tensor: "bias", length: out, first: 0 },
    },
    { kind: "linear", id: "logits", input: "h", weight: matrixRef("identity", "f32", out, out), bias: null },
  ];
  const model = await modelOf(
    {
      x: f32(tokens, d, inputs.flat()),
      w: f32(out, d, Array(out * d).fill(1)),
      bias: f32(out, null, [3, -4]),
      identity: f32(out, out, [1, 0, 0, 1]),
    },
    { vocabulary: out, context: tokens, nodes, output: "logits" },
  );
  const factors: FactorSource = {
    basis: () => Promise.resolve(Float32Array.from(basis.flat())),
    image: () => Promise.resolve(new Float32Array(out * k).fill(1000)),
  };
  return { model, factors };
}

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

const firstThree = [
  [1, 0, 0, 0],
  [0, 1, 0, 0],
  [0, 0, 1, 0],
];

describe("the gate", () => {
  test("is closed below epsilon, open at epsilon and above, whatever the scale; NaN keeps it open", async () => {
    // With V = (e1, e2, e3) and x = (1, 1, 1, c), rho = c / sqrt(3 + c^2): exactly 1/2 at c = 1.
    const scaled = [1, 1e-30, 1e18, 1e30, 1e-38].flatMap((scale) => [
      [scale, scale, scale, scale],
      [scale, scale, scale, scale * 1.0001],
      [scale, scale, scale, scale * 0.9999],
    ]);
    const inputs = [
      ...scaled,
      [0, 0, 0, 0],
      [0, 0, 0, 1],
      [1, 2, 3, 0],
      [1e-42, 0, 0, 0],
      [0, 0, 0, 1e-42],
      [Number.NaN, 1, 1, 0],
      [1, 1, 1, Number.NaN],
      [Number.POSITIVE_INFINITY, 1, 1, 0],
      [1, 1, 1, Number.POSITIVE_INFINITY],
    ];
    const expected = [
      ...[1, 2, 3, 4, 5].flatMap(() => [false, false, true]),
      ...[true, false, true, true, false, false, false, false, false],
    ];
    const { model, factors } = await gateModel(inputs, firstThree);
    const bundle = await writeTestBundle(model, gated(3, 0.5), ["bounded"], factors);
    for (const target of testTargets()) {
      expect(await decisions(bundle, inputs.length, target), target.name).toEqual(expected);
    }
    model.weights.close();
  });

  test("chooses the value: M g + b, or W x + b; of zero it is b", async () => {
    const inputs = [
      [4, 3],
      [3, 4],
      [0, 0],
      [8, 6.0625],
      [8, 5.9375],
      [-1, 0],
    ];
    const { model, factors } = await gateModel(inputs, [[1, 0]]);
    // 0.6 as a double lies below 3/5, so that (4, 3) is open.
    const bundle = await writeTestBundle(model, gated(1, 0.6), ["bounded"], factors, best);
    const ids = Array<number>(inputs.length).fill(0);
    const { logits, fast, slow } = await feed(bundle, ids, { target: best[0]!, mode: "bounded" });
    expect(Array.from(logits)).toEqual(
      [7, 7, 0, 14.0625, 8000, -1000].flatMap((value) => [value + 3, value - 4]),
    );
    expect([fast, slow]).toEqual([3, 3]);
    model.weights.close();
  });

  test("counts a token once per input, however many launches read that input", async () => {
    const { model, factors } = await gateModel(
      [
        [4, 3],
        [3, 4],
        [1, 0],
      ],
      [[1, 0]],
    );
    const [x, h, logits] = model.graph.nodes as [Node, LinearNode, LinearNode];
    const second: LinearNode = { ...h, id: "second" };
    const sum: Node = { kind: "add", id: "sum", left: h.id, right: second.id };
    const nodes = [x, h, second, sum, { ...logits, input: sum.id }];
    const parallel = { ...model, graph: { ...model.graph, nodes } };
    const bundle = await writeTestBundle(parallel, gated(1, 0.7), ["bounded"], factors, best);
    const found = await feed(bundle, [0, 0, 0], { target: best[0]!, mode: "bounded" });
    expect([found.fast, found.slow]).toEqual([2, 1]);
    expect(Array.from(found.logits)).toEqual(
      [4000, 7, 1000].flatMap((value) => [2 * (value + 3), 2 * (value - 4)]),
    );
    model.weights.close();
  });
});
