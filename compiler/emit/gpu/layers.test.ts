import { describe, expect, test } from "vitest";
import { relativeError } from "../../check/check.js";
import type { DType, Node } from "../../ir/graph.js";
import { referenceLogits } from "../../oracle/reference.js";
import { typeNumbers } from "../../read/gguf-types.js";
import { densePlan, noFactors } from "../../testing/fixtures.js";
import {
  gaussian,
  linearModel,
  matrixRef,
  modelOf,
  randomBlocks,
  type StoredTensor,
  storedAs,
} from "../../testing/kernels.js";
import { feedSimulated, generateSimulated, h200, mi300x, simulatedBundle } from "../../testing/simulation.js";

const random = gaussian(5);
const normal = (length: number) => Float32Array.from({ length }, random);
const f32 = (values: Float32Array, out: number, d: number | null): StoredTensor => ({
  dtype: "f32",
  out,
  d,
  bytes: storedAs("f32", values),
});

function stored(dtype: DType, out: number, d: number): StoredTensor {
  const bytes = dtype.startsWith("q") ? randomBlocks(dtype, out * d, d) : storedAs(dtype, normal(out * d));
  return { dtype, out, d, bytes };
}

const targets = [mi300x, h200];
/** A token's table, that of its position, and the width. */
const tables: readonly (readonly [DType, DType, number])[] = [
  ["f32", "f16", 17],
  ["f16", "bf16", 31],
  ["bf16", "f32", 33],
  ["q8_0", "f32", 96],
  ["f16", "q4_0", 32],
  ["q4_1", "q5_0", 160],
  ["q5_1", "bf16", 64],
  ["q4_k", "q8_0", 256],
  ["q5_k", "q6_k", 512],
  ["q6_k", "f32", 256],
];

describe.each(targets)("embeddings on $name are rows of every type, scaled, from an offset", (target) => {
  for (const [first, second, d] of tables) {
    test(`${first} + ${second}, ${d} wide`, async () => {
      const [rows, tokens] = [d, 19];
      const token = { table: matrixRef("token", first, rows, d), offset: 0, scale: 1.5 };
      const position = { table: matrixRef("position", second, tokens + 2, d), offset: 2, scale: 1 };
      const nodes: Node[] = [
        { kind: "embedding", id: "a", layer: null, index: "token", ...token },
        { kind: "embedding", id: "b", layer: null, index: "position", ...position },
        { kind: "add", id: "x", layer: null, left: "a", right: "b" },
        {
          kind: "linear",
          id: "logits",
          layer: null,
          input: "x",
          weight: matrixRef("one", "f32", d, d),
          bias: null,
        },
      ];
      const one = Float32Array.from({ length: d * d }, (_, i) => Number(i % (d + 1) === 0));
      const model = await modelOf(
        { token: stored(first, rows, d), position: stored(second, tokens + 2, d), one: f32(one, d, d) },
        { vocabulary: d, context: tokens, output: "logits", nodes },
      );
      const ids = Array.from({ length: tokens }, (_, i) => (i * 3) % rows);
      const simulated = await simulatedBundle(model, densePlan, ["exact"], noFactors, target);
      const { logits } = await feedSimulated(simulated, ids, { chunks: [16, 1, 2] });
      const expected = referenceLogits(model.graph, model.weights, ids);
      // One rounding of each product and one of the sum.
      const largest = Math.max(...expected.map(Math.abs));
      logits.forEach((found, i) => {
        expect(Math.abs(found - expected[i]!), `${i}`).toBeLessThanOrEqual(2 ** -22 * largest);
      });
      model.weights.close();
    });
  }
});

describe.each(targets)(
  "norms on $name are right, fused and by themselves, with a residual and without",
  (target) => {
    for (const d of [1, 33, 130, 1027]) {
      test(`${d} wide`, async () => {
        const tokens = 18;
        const gain = (name: string) => ({ tensor: name, length: d, first: 0 });
        const norm = { kind: "norm", layer: null, heads: 1, epsilon: 1e-5 } as const;
        const layer = { ...norm, method: "layer", gain: gain("gain"), bias: gain("shift") } as const;
        const rms = { ...norm, method: "rms", gain: gain("gain"), bias: null } as const;
        const linear = {
          kind: "linear",
          layer: null,
          weight: matrixRef("w", "f32", d, d),
          bias: null,
        } as const;
        const nodes: Node[] = [
          {
            kind: "embedding",
            id: "x",
            layer: null,
            index: "position",
            table: matrixRef("x", "f32", tokens, d),
            offset: 0,
            scale: 1,
          },
          // Read by a residual as well: a launch of its own.
          { ...layer, id: "a", input: "x" },
          { ...linear, id: "b", input: "a" },
          { kind: "add", id: "c", layer: null, left: "a", right: "b" },
          // After the linear, with a residual.
          { ...linear, id: "d", input: "c" },
          { ...rms, id: "e", input: "d" },
          { kind: "add", id: "f", layer: null, left: "c", right: "e" },
          // A norm of a norm; the second one goes into the linear that reads it.
          { ...rms, id: "g", input: "f" },
          { ...layer, id: "h", input: "g" },
          { ...linear, id: "i", input: "h" },
          { kind: "add", id: "j", layer: null, left: "f", right: "i" },
          { ...rms, id: "k", input: "j" },
          {
            kind: "linear",
            id: "logits",
            layer: null,
            input: "k",
            weight: matrixRef("head", "f32", 7, d),
            bias: null,
          },
        ];
        const inputs = normal(tokens * d).map((value, i) =>
          i < d ? 1e-3 * value : i < 2 * d ? 1e4 * value : value + 2,
        );
        const model = await modelOf(
          {
            x: f32(inputs, tokens, d),
            gain: f32(normal(d), d, null),
            shift: f32(normal(d), d, null),
            w: f32(
              normal(d * d).map((value) => value / Math.sqrt(d)),
              d,
              d,
            ),
            head: f32(normal(7 * d), 7, d),
          },
          { vocabulary: 7, context: tokens, output: "logits", nodes },
        );
        const ids = Array<number>(tokens).fill(0);
        const simulated = await simulatedBundle(model, densePlan, ["exact"], noFactors, target);
        const count = (template: string) =>
          simulated.scheduled.programs.exact!.body.filter(
            ({ kernel }) => simulated.scheduled.kernels[kernel]!.template === template,
          ).length;
        expect([count("norm"), count("project")]).toEqual([3, 3]);
        const { logits } = await feedSimulated(simulated, ids);
        const expected = referenceLogits(model.graph, model.weights, ids);
        expect(relativeError(logits, expected)).toBeLessThan(d === 1 ? 1e-4 : 5e-6);
        expect(
          (await feedSimulated(simulated, ids, { chunks: [1, 5], units: 5, backward: true })).logits,
        ).toEqual(logits);
        model.weights.close();
      });
    }
  },
);

describe.each(targets)("the choice of a token on $name", (target) => {
  const vocabulary = 2500;
  /** The logits of token t are column t of the head. */
  const columns: readonly Readonly<Record<number, number>>[] = [
    { 7: 1 },
    { 2499: 3 },
    // Equal ones in a lane, in a wave, among waves.
    { 5: 2, 6: 2, 1024: 1 },
    { 1100: 2, 76: 2, 2124: 2 },
    { 900: 2, 2000: 2, 450: 2 },
    Object.fromEntries(Array.from({ length: vocabulary }, (_, i) => [i, -1 - (i % 3)])),
    Object.fromEntries(Array.from({ length: vocabulary }, (_, i) => [i, i < 400 ? -3e38 : -2e38])),
    {},
  ];
  const lowest = [7, 2499, 5, 76, 450, 0, 400, 0];

  const choosing = async (inputs: readonly (readonly number[])[], heads: typeof columns) => {
    const d = heads.length;
    const weights = new Float32Array(vocabulary * d);
    heads.forEach((column, i) => {
      for (const [row, value] of Object.entries(column)) weights[Number(row) * d + i] = value;
    });
    const values = Float32Array.from(inputs.flat());
    const model = await linearModel(
      values,
      inputs.length,
      f32(weights, vocabulary, d) as StoredTensor & { d: number },
    );
    const simulated = await simulatedBundle(model, densePlan, ["exact"], noFactors, target);
    return { model, simulated };
  };

  test("is the lowest id of the largest logit", async () => {
    const inputs = columns.map((_, i) => columns.map((__, j) => Number(i === j)));
    const { model, simulated } = await choosing(inputs, columns);
    for (let tokens = 1; tokens <= columns.length; tokens++) {
      const prompt = Array<number>(tokens).fill(0);
      expect(await generateSimulated(simulated, prompt, 1), `${tokens}`).toEqual([lowest[tokens - 1]]);
    }
    model.weights.close();
  });

  test("is refused where a logit is no finite number", async () => {
    const heads = [{ 3: 10, 4: 1 }, { 2400: -10, 4: 1 }, { 77: 10 }, { 77: -10 }];
    const inputs = [
      [1, 0, 0, 0],
      [3e38, 0, 0, 0],
      [0, 3e38, 0, 0],
      [0, 0, 3e38, 3e38],
    ];
    const { model, simulated } = await choosing(inputs, heads);
    expect(await generateSimulated(simulated, [0], 1)).toEqual([3]);
    for (const tokens of [2, 3, 4]) {
      const chosen = generateSimulated(simulated, Array<number>(tokens).fill(0), 1);
      await expect(chosen, `${tokens}`).rejects.toThrow(/not all finite/);
    }
    model.weights.close();
  });
});

test("every type that files hold is tried as an embedding", () => {
  const tried = new Set<unknown>(tables.flat());
  expect(Object.keys(typeNumbers).filter((dtype) => !tried.has(dtype))).toEqual([]);
});
