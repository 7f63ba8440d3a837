import { describe, expect, test } from "vitest";
import { relativeError } from "../../check/check.js";
import type { GpuShape, GpuTarget } from "../../config/target.js";
import type { DType } from "../../ir/graph.js";
import type { Model } from "../../models/model.js";
import { referenceLogits } from "../../oracle/reference.js";
import { densePlan, noFactors, openFixture } from "../../testing/fixtures.js";
import { chosenFactors, gaussian, linearModel, randomBlocks, storedAs } from "../../testing/kernels.js";
import {
  feedSimulated,
  h200,
  mi300x,
  type Simulated,
  shapedAs,
  simulatedBundle,
} from "../../testing/simulation.js";

const tokens = 21;
const ids = Array<number>(tokens).fill(0);

function modelOf(dtype: DType, out: number, d: number): Promise<Model> {
  const random = gaussian(7);
  const values = (count: number) => Float32Array.from({ length: count }, random);
  const bytes = dtype.startsWith("q")
    ? randomBlocks(dtype, out * d, out + d)
    : storedAs(dtype, values(out * d));
  return linearModel(values(tokens * d), tokens, { dtype, out, d, bytes });
}

/** The logits' bits, which passes of other sizes, devices with other compute units, and lanes in another order give as well. */
async function invariantLogits(
  simulated: Simulated,
  cuts: readonly (readonly number[])[],
): Promise<Float32Array> {
  const { logits } = await feedSimulated(simulated, ids);
  for (const chunks of cuts) {
    const found = await feedSimulated(simulated, ids, { chunks });
    expect(found.logits, `passes of ${chunks}`).toEqual(logits);
  }
  for (const units of [1, 7]) {
    expect((await feedSimulated(simulated, ids, { units })).logits, `${units} compute units`).toEqual(logits);
  }
  expect((await feedSimulated(simulated, ids, { backward: true })).logits, "backward").toEqual(logits);
  return logits;
}

/** Waves that share a tile in the kernel that multiplies. */
const splitsIn = ({ scheduled }: Simulated) =>
  Number(
    /using Work = Division<\d+, (\d+)>/.exec(
      scheduled.kernels.find(({ symbol }) => /head/.test(symbol))!.source,
    )![1],
  );

interface Division {
  readonly dtype: DType;
  readonly out: number;
  readonly d: number;
  readonly target: GpuTarget;
  readonly shape: Partial<GpuShape>;
  readonly splits: number;
}

const few = { computeUnits: 1, workgroupsPerUnit: 1 };
const divisions: readonly Division[] = [
  { dtype: "bf16", out: 60, d: 1100, target: mi300x, shape: few, splits: 1 },
  { dtype: "q4_k", out: 33, d: 1024, target: mi300x, shape: {}, splits: 2 },
  { dtype: "f16", out: 33, d: 500, target: mi300x, shape: {}, splits: 4 },
  { dtype: "bf16", out: 33, d: 900, target: mi300x, shape: {}, splits: 8 },
  { dtype: "bf16", out: 33, d: 1100, target: mi300x, shape: {}, splits: 16 },
  { dtype: "f32", out: 9, d: 515, target: mi300x, shape: { wavesPerWorkgroup: 4 }, splits: 4 },
  { dtype: "q6_k", out: 9, d: 1024, target: h200, shape: { wavesPerWorkgroup: 8 }, splits: 4 },
  { dtype: "bf16", out: 9, d: 1100, target: h200, shape: {}, splits: 16 },
];

describe("a projection's bits depend on its splits alone: not on columns, workgroups, nor on how much fits into LDS", () => {
  for (const { dtype, out, d, target, shape, splits } of divisions) {
    test(`${dtype} [${out}, ${d}] on ${target.name} in ${splits} splits`, async () => {
      const model = await modelOf(dtype, out, d);
      const logits: Float32Array[] = [];
      const { lds } = target.gpu;
      // All of LDS; some rounds of the waves at a time; less than one.
      for (const [bytes, cuts] of [
        [lds, [[1], [2], [5], [3, 1, 9]]],
        [4096 + 24 * 1024, [[1], [6]]],
        [4096 + 4 * 1024, [[1], [3]]],
      ] as const) {
        const small = shapedAs(target, { ...shape, lds: bytes });
        const simulated = await simulatedBundle(model, densePlan, ["exact"], noFactors, small);
        expect(splitsIn(simulated)).toBe(splits);
        logits.push(await invariantLogits(simulated, cuts));
      }
      expect(relativeError(logits[0]!, referenceLogits(model.graph, model.weights, ids))).toBeLessThan(1e-5);
      expect(logits[1], "some rounds").toEqual(logits[0]);
      expect(logits[2], "part of a round").toEqual(logits[0]);
      model.weights.close();
    });
  }
});

describe("results do not depend on how tokens are cut into passes, nor on the number of compute units", () => {
  for (const [name, k, epsilon, target] of [
    ["gpt2-bf16", 5, 0.9, mi300x],
    ["llama-gguf", 7, 0.95, mi300x],
    ["gemma3-f32", 5, 0.85, h200],
  ] as const) {
    test(`${name} on ${target.name}`, async () => {
      const { model, ids: known } = await openFixture(name);
      const ids = Array.from({ length: 43 }, (_, i) => known[i] ?? (i * i * 31 + 5) % model.graph.vocabulary);
      const factors = chosenFactors(model, k, ids);
      const options = { forms: ["gated" as const], k: [k], epsilon: [epsilon] };
      const simulated = await simulatedBundle(model, options, ["bounded", "exact"], factors, target);
      for (const mode of ["exact", "bounded"] as const) {
        const { traffic: _, ...expected } = await feedSimulated(simulated, ids, { mode });
        if (mode === "bounded") expect(Math.min(expected.fast, expected.slow)).toBeGreaterThan(20);
        for (const [chunks, units, backward = false] of [
          [[1], 2],
          [[3, 5, 7, 1, 2, 11], 7],
          [[4, 2], 1],
          [[15], 2],
          [[16], 1],
          [[9, 1], 3, true],
        ] as const) {
          const { traffic: __, ...found } = await feedSimulated(simulated, ids, {
            mode,
            chunks,
            units,
            backward,
          });
          expect(found, `${mode}: passes of ${chunks}, ${units} units`).toEqual(expected);
        }
      }
      model.weights.close();
    });
  }
});
