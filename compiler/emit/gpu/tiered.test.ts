import { describe, expect, test } from "vitest";
import type { GpuTarget } from "../../config/target.js";
import { factorQuantizer, quantizerText } from "../../ir/forms.js";
import type { BitWidth, Form, Quantizer } from "../../ir/plan.js";
import { makePlan } from "../../passes/index.js";
import { densePlan, noFactors } from "../../testing/fixtures.js";
import {
  dequantized,
  randomLowRank,
  randomQuantized,
  times,
  withQuantized,
} from "../../testing/gpu-tiers.js";
import { hardInputs, linearModel } from "../../testing/kernels.js";
import {
  feedSimulated,
  h200,
  hasMatrixCores,
  mi300x,
  shapedAs,
  simulatedPlan,
} from "../../testing/simulation.js";
import { withForm } from "../../testing/tiers.js";

/** Every workgroup multiplies by the factors for itself, or a launch before does so for all. */
const own = (target: GpuTarget) => shapedAs(target, { cacheBandwidthPerUnit: 1e12 });
const given = (target: GpuTarget) => shapedAs(target, { cacheBandwidthPerUnit: 1 });

interface Shape {
  readonly quantizer: Quantizer;
  readonly rank: number;
  readonly out: number;
  readonly d: number;
}

const shape = (
  bits: BitWidth,
  group: Quantizer["group"],
  symmetric: boolean,
  rank: number,
  out: number,
  d: number,
): Shape => ({ quantizer: { bits, group, symmetric }, rank, out, d });

/** Logits of y = Q x + A (B^T x) for 21 inputs against float64, and the same bits however tokens are cut into passes. */
async function checkTier({ quantizer, rank, out, d }: Shape, target: GpuTarget): Promise<void> {
  const tokens = 21;
  const inputs = hardInputs(tokens, d);
  const weight = { dtype: "f32", out, d, bytes: new Uint8Array(4 * out * d) } as const;
  const model = await linearModel(inputs, tokens, weight);
  const form: Form = { gate: null, tier: { quantizer, rank, exact: null } };
  const plan = withForm(makePlan(model.graph, { options: densePlan, device: target.device }), form);
  const matrix = randomQuantized(out, d, quantizer, 1);
  const lowRank = rank === 0 ? null : randomLowRank(out, rank, 2);
  const basis = { ...randomQuantized(Math.max(rank, 1), d, factorQuantizer, 3) };
  basis.rowScales.fill(1e-3);
  const factors = withQuantized(noFactors, ({ kind }) =>
    kind === "quantized" ? { matrix, lowRank } : { matrix: basis, lowRank: null },
  );
  const simulated = await simulatedPlan(model, plan, ["bounded"], factors, target);
  const ids = Array<number>(tokens).fill(0);
  const { logits } = await feedSimulated(simulated, ids, { mode: "bounded" });
  expect(logits).toHaveLength(tokens * out);

  const q = dequantized(matrix, out, d, quantizer);
  const b = dequantized(basis, rank, d, factorQuantizer);
  const sizes = inputs.map(Math.abs);
  const [few, sums] = [times(inputs, q.weights, d), times(sizes, q.magnitudes, d)];
  const [g, gSums] = [times(inputs, b.weights, d), times(sizes, b.magnitudes, d)];
  // As in kernels.test.ts: additions of a lane, of the lanes and of the splits; activations of two bf16 numbers.
  const { wave } = target.gpu;
  const additions = Math.ceil(d / 32 / (wave / 4)) * 64 * (hasMatrixCores(target) ? 2 : 1) + 24;
  const relative = additions * 2 ** -24 + (hasMatrixCores(target) ? 2 ** -17 : 0);
  const absolute = additions * 2 ** (hasMatrixCores(target) ? -133 : -146);
  logits.forEach((found, i) => {
    const [token, row] = [Math.floor(i / out), i % out];
    let expected = few[i]!;
    const scaleSum = (weights: Float64Array, at: number) =>
      weights.subarray(at * d, (at + 1) * d).reduce((sum, value) => sum + Math.abs(value), 0);
    let bound = relative * sums[i]! + absolute * (scaleSum(q.magnitudes, row) + 1);
    for (let j = 0; j < rank; j++) {
      const a = lowRank!.scales[row]! * lowRank!.a[row * rank + j]!;
      const at = token * rank + j;
      expected += a * g[at]!;
      bound += Math.abs(a) * (2 * relative * gSums[at]! + absolute * (scaleSum(b.magnitudes, j) + 1));
    }
    const error = Math.abs(found - expected);
    expect(error, `token ${token}, row ${row}: ${found}, ${expected}`).toBeLessThanOrEqual(1.01 * bound);
  });
  for (const chunks of [[1], [3, 1, 9]]) {
    const cut = await feedSimulated(simulated, ids, { mode: "bounded", chunks, units: 1 });
    expect(cut.logits, `passes of ${chunks}`).toEqual(logits);
  }
  model.weights.close();
}

describe("y = Q x + A (B^T x) is right at every number of bits, on odd shapes and numbers of every size", () => {
  const cases = [
    ["own factors on mi300x", own(mi300x), shape(4, 64, true, 20, 9, 333)],
    ["no factors on mi300x", mi300x, shape(3, 32, false, 0, 5, 33)],
    ["given factors on mi300x", given(mi300x), shape(5, 128, false, 36, 33, 300)],
    ["own factors on mi300x", own(mi300x), shape(6, 32, true, 12, 3, 1100)],
    ["own factors on mi300x", own(mi300x), shape(8, 128, false, 4, 7, 130)],
    ["own factors on h200", own(h200), shape(4, 32, false, 20, 9, 333)],
    ["given factors on h200", given(h200), shape(3, 128, true, 4, 5, 1100)],
  ] as const;
  for (const [where, target, one] of cases) {
    const { quantizer, rank, out, d } = one;
    test(`${quantizerText(quantizer)}, rank ${rank} [${out}, ${d}] with ${where}`, async () => {
      await checkTier(one, target);
    });
  }
});
