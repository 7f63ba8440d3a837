import { describe, expect, test } from "vitest";
import type { GpuTarget } from "../../config/target.js";
import { blockSizes, type DType } from "../../ir/graph.js";
import { referenceLogits } from "../../oracle/reference.js";
import { dequantize } from "../../read/dequantize.js";
import { densePlan, noFactors } from "../../testing/fixtures.js";
import { hardInputs, hardWeights, linearModel, randomBlocks, storedAs } from "../../testing/kernels.js";
import { feedSimulated, h200, hasMatrixCores, mi300x, simulatedBundle } from "../../testing/simulation.js";

interface Shape {
  readonly dtype: DType;
  readonly out: number;
  readonly d: number;
}

/** Elements of a unit (templates/include/gsic/gpu/weights.h). */
const unitOf = (dtype: DType) => (isBlock(dtype) ? 32 : dtype === "f32" ? 4 : 8);
const isBlock = (dtype: DType) => blockSizes[dtype].elements > 1;

/** The bytes of a block that hold its integers, for types that add a minimum to them. */
const integers: Partial<Record<DType, readonly [begin: number, end: number]>> = {
  q4_0: [2, 18],
  q4_1: [4, 20],
  q5_0: [2, 22],
  q5_1: [4, 24],
  q4_k: [16, 144],
  q5_k: [16, 176],
};

/** |scale q| + |minimum| of every weight, which are summed by themselves; |w| of types that have no minimum. */
function magnitudes(dtype: DType, bytes: Uint8Array, count: number, blockBytes: number): Float32Array {
  const weights = dequantize(dtype, bytes, count);
  const place = integers[dtype];
  if (place === undefined) return weights.map(Math.abs);
  const empty = bytes.map((byte, i) => {
    const at = i % blockBytes;
    return at >= place[0] && at < place[1] ? 0 : byte;
  });
  return dequantize(dtype, empty, count).map(
    (minimum, i) => Math.abs(minimum) + Math.abs(weights[i]! - minimum),
  );
}

/** Logits of y = W x for 21 inputs against float64; the largest error, as a fraction of sum |w x|. */
async function checkLinear({ dtype, out, d }: Shape, target: GpuTarget): Promise<void> {
  const tokens = 21;
  const bytes = isBlock(dtype)
    ? randomBlocks(dtype, out * d, out + d)
    : storedAs(dtype, hardWeights(dtype, out, d));
  const inputs = hardInputs(tokens, d);
  const model = await linearModel(inputs, tokens, { dtype, out, d, bytes });
  const ids = Array<number>(tokens).fill(0);
  const expected = referenceLogits(model.graph, model.weights, ids);
  const simulated = await simulatedBundle(model, densePlan, ["exact"], noFactors, target);
  const { logits } = await feedSimulated(simulated, ids);
  expect(logits).toHaveLength(tokens * out);

  const sizes = magnitudes(dtype, bytes, out * d, blockSizes[dtype].bytes);
  const { wave } = target.gpu;
  const splitsActivations = hasMatrixCores(target) && dtype !== "f32";
  // One lane adds up a quarter of a wave's share of a row; then lanes, high and low parts, and splits are added.
  const unit = unitOf(dtype);
  const additions =
    Math.ceil(d / unit / (wave / 4)) * (unit + (isBlock(dtype) ? 32 : 0)) * (splitsActivations ? 2 : 1) + 24;
  logits.forEach((found, i) => {
    const [token, row] = [Math.floor(i / out), i % out];
    let sum = 0;
    let weights = 0;
    for (let j = 0; j < d; j++) {
      const size = sizes[row * d + j]!;
      sum += Math.abs(size * inputs[token * d + j]!);
      weights += size;
    }
    // An activation is two bf16 numbers with 16 bits of it, and their smallest step is 2^-133.
    const split = splitsActivations ? 2 ** -17 * sum + 2 ** -134 * weights : 0;
    // Below 2^-126, roundings are absolute.
    const bound = 1.01 * (additions * 2 ** -24 * sum + split) + additions * (wave / 4) * 2 ** -149;
    const error = Math.abs(found - expected[i]!);
    expect(error, `token ${token}, row ${row}: ${found}`).toBeLessThanOrEqual(bound);
  });
  model.weights.close();
}

const shapes: readonly Shape[] = [
  { dtype: "f32", out: 1, d: 1 },
  { dtype: "f32", out: 5, d: 17 },
  { dtype: "f32", out: 33, d: 300 },
  { dtype: "f16", out: 5, d: 1 },
  { dtype: "f16", out: 33, d: 31 },
  { dtype: "f16", out: 3, d: 1100 },
  { dtype: "bf16", out: 1, d: 33 },
  { dtype: "bf16", out: 5, d: 1031 },
  { dtype: "bf16", out: 33, d: 17 },
  { dtype: "q8_0", out: 3, d: 96 },
  { dtype: "q4_0", out: 5, d: 32 },
  { dtype: "q4_1", out: 33, d: 160 },
  { dtype: "q5_0", out: 1, d: 96 },
  { dtype: "q5_1", out: 7, d: 1120 },
  { dtype: "q4_k", out: 5, d: 256 },
  { dtype: "q5_k", out: 3, d: 1280 },
  { dtype: "q6_k", out: 33, d: 256 },
  { dtype: "f8", out: 33, d: 96 },
  { dtype: "f8_128", out: 5, d: 384 },
  { dtype: "nf4", out: 33, d: 192 },
  { dtype: "fp4", out: 5, d: 64 },
];

describe.each([mi300x, h200])(
  "y = W x on $name is right on every weight type, on odd shapes and numbers of every size",
  (target) => {
    for (const shape of shapes) {
      test(`${shape.dtype} [${shape.out}, ${shape.d}]`, async () => {
        await checkLinear(shape, target);
      });
    }
  },
);
