import { describe, expect, test } from "vitest";
import type { DType, MatrixRef } from "../ir/graph.js";
import { referenceLogits } from "../oracle/reference.js";
import { dequantize } from "../read/dequantize.js";
import {
  densePlan,
  noFactors,
  openFixture,
  skipOtherTargets,
  testTargets,
  writeTestBundle,
} from "../testing/fixtures.js";
import {
  chosenFactors,
  feed,
  gaussian,
  hardInputs,
  hardWeights,
  inputNode,
  linearModel,
  matrixRef,
  modelOf,
  randomBlocks,
  storedAs,
} from "../testing/kernels.js";

interface Shape {
  readonly dtype: DType;
  readonly out: number;
  readonly d: number;
}

/** The machine's best target, and the portable one: the others add up as the best does, which is tested below. */
const [best, ...others] = await testTargets();
const twoTargets = [best!, ...others.slice(-1)];

/** Logits of y = W x for 21 inputs against float64 and the error that f32 sums may have. */
async function checkLinear({ dtype, out, d }: Shape): Promise<void> {
  const tokens = 21;
  const float = dtype === "f32" || dtype === "f16" || dtype === "bf16";
  const bytes = float ? storedAs(dtype, hardWeights(dtype, out, d)) : randomBlocks(dtype, out * d, out + d);
  const inputs = hardInputs(tokens, d);
  const model = await linearModel(inputs, tokens, { dtype, out, d, bytes });
  const ids = Array<number>(tokens).fill(0);
  const expected = referenceLogits(model.graph, model.weights, ids);
  const w = dequantize(dtype, bytes, out * d);
  const targets = float ? twoTargets : [best!];
  const bundle = await writeTestBundle(model, densePlan, ["exact"], noFactors, targets);
  for (const target of targets) {
    const { logits } = await feed(bundle, ids, { target, mode: "exact" });
    expect(logits).toHaveLength(tokens * out);
    logits.forEach((found, i) => {
      const [token, row] = [Math.floor(i / out), i % out];
      let sizes = 0;
      for (let j = 0; j < d; j++) sizes += Math.abs(w[row * d + j]! * inputs[token * d + j]!);
      // A lane adds up d / 16 products and is then added to 15 others; below 2^-126, roundings are absolute.
      const bound = (2 * Math.ceil(d / 32) + 6) * 2 ** -23 * sizes + d * 2 ** -148;
      const error = Math.abs(found - expected[i]!);
      expect(error, `${target.name}: token ${token}, row ${row}: ${found}`).toBeLessThanOrEqual(bound);
    });
    for (const [chunks, threads] of [
      [[1], 3],
      [[5, 6, 8, 2], 1],
      [[3, 4, 14], 2],
    ] as const) {
      const again = await feed(bundle, ids, { target, mode: "exact", chunks, threads });
      expect(again.logits, `${target.name}: passes of ${chunks}, ${threads} threads`).toEqual(logits);
    }
  }
  model.weights.close();
}

const shapes: readonly Shape[] = [
  { dtype: "f32", out: 1, d: 1 },
  { dtype: "f32", out: 5, d: 17 },
  { dtype: "f32", out: 33, d: 100 },
  { dtype: "f16", out: 5, d: 1 },
  { dtype: "f16", out: 33, d: 31 },
  { dtype: "f16", out: 3, d: 100 },
  { dtype: "bf16", out: 1, d: 33 },
  { dtype: "bf16", out: 5, d: 31 },
  { dtype: "bf16", out: 33, d: 17 },
  { dtype: "bf16", out: 133, d: 1201 },
  { dtype: "f16", out: 259, d: 640 },
  { dtype: "q8_0", out: 3, d: 96 },
  { dtype: "q4_0", out: 5, d: 32 },
  { dtype: "q4_1", out: 33, d: 160 },
  { dtype: "q5_0", out: 1, d: 96 },
  { dtype: "q5_1", out: 7, d: 32 },
  { dtype: "q4_k", out: 5, d: 256 },
  { dtype: "q5_k", out: 3, d: 512 },
  { dtype: "q6_k", out: 33, d: 256 },
  { dtype: "f8", out: 33, d: 96 },
  { dtype: "f8_128", out: 5, d: 256 },
  { dtype: "nf4", out: 33, d: 192 },
  { dtype: "fp4", out: 5, d: 64 },
];

await skipOtherTargets();

describe("y = W x is right on shapes that are multiples of nothing, and on numbers of every size", () => {
  for (const shape of shapes) test(`${shape.dtype} [${shape.out}, ${shape.d}]`, () => checkLinear(shape));
});

describe("results do not depend on how tokens are cut into passes, on threads, or on the register width", () => {
  for (const [name, k, epsilon, everywhere] of [
    ["gpt2-bf16", 5, 0.9, true],
    ["llama-gguf", 7, 0.95, false],
  ] as const) {
    test(name, async () => {
      const { model, ids: known } = await openFixture(name);
      const ids = Array.from({ length: 43 }, (_, i) => known[i] ?? (i * i * 31 + 5) % model.graph.vocabulary);
      const factors = chosenFactors(model, k, ids);
      const options = { forms: ["gated" as const], k: [k], epsilon: [epsilon] };
      const targets = [best!, ...others].filter(
        (target) => everywhere || target === best || target.features.length > 0,
      );
      const bundle = await writeTestBundle(model, options, ["bounded", "exact"], factors, targets);
      for (const mode of ["exact", "bounded"] as const) {
        const results: { name: string; expected: Awaited<ReturnType<typeof feed>> }[] = [];
        for (const target of targets) {
          const expected = await feed(bundle, ids, { target, mode });
          if (mode === "bounded") expect(Math.min(expected.fast, expected.slow)).toBeGreaterThan(20);
          for (const [chunks, threads] of [
            [[1], 1],
            [[1], 2],
            [[3, 5, 7, 1, 2, 11], 5],
            [[4, 2], 1],
            [[15], 2],
            [[43], 2],
            [[16], 5],
          ] as const) {
            const found = await feed(bundle, ids, { target, mode, chunks, threads });
            expect(found, `${mode} on ${target.name}: passes ${chunks}, ${threads} threads`).toEqual(
              expected,
            );
          }
          results.push({ name: target.name, expected });
        }
        const of = (target: string) => results.find((result) => result.name === target)?.expected;
        if (of("cpu-avx512") && of("cpu-avx2")) expect(of("cpu-avx512")).toEqual(of("cpu-avx2"));
      }
      model.weights.close();
    });
  }

  test("nor where a worker takes its share of a large matrix in parts", async () => {
    const [tokens, d, out, vocabulary] = [70, 700, 1024, 5];
    const random = gaussian(5);
    const stored = (rows: number, columns: number) => ({
      dtype: "f32" as const,
      out: rows,
      d: columns,
      bytes: storedAs("f32", Float32Array.from({ length: rows * columns }, random)),
    });
    const linear = (id: string, input: string, weight: MatrixRef) =>
      ({ kind: "linear", id, layer: null, input, weight, bias: null }) as const;
    const nodes = [
      inputNode("x", "x", tokens, d),
      linear("y", "x", matrixRef("w", "f32", out, d)),
      linear("logits", "y", matrixRef("head", "f32", vocabulary, out)),
    ];
    const model = await modelOf(
      { x: stored(tokens, d), w: stored(out, d), head: stored(vocabulary, out) },
      { vocabulary, context: tokens, output: "logits", nodes },
    );
    const ids = Array<number>(tokens).fill(0);
    const options = { forms: ["gated" as const], k: [5], epsilon: [0.99] };
    const bundle = await writeTestBundle(model, options, ["bounded"], chosenFactors(model, 5, ids), [best!]);
    const expected = await feed(bundle, ids, { target: best!, mode: "bounded", chunks: [1] });
    expect(Math.min(expected.fast, expected.slow)).toBeGreaterThan(0);
    for (const [chunk, threads] of [
      [tokens, 1],
      [tokens, 3],
      [33, 2],
    ] as const) {
      const found = await feed(bundle, ids, { target: best!, mode: "bounded", chunks: [chunk], threads });
      expect(found, `passes of ${chunk}, ${threads} threads`).toEqual(expected);
    }
    model.weights.close();
  });
});
