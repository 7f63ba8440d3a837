import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { factorQuantizer } from "../ir/forms.js";
import { bitWidths, type Quantizer } from "../ir/plan.js";
import type { InputStats } from "../ir/statistics.js";
import { dequantized } from "../layout/quantizer.js";
import {
  bytesOf,
  cholesky,
  correlated,
  energyOf,
  errorOf,
  exactStats,
  momentOf,
  multiply,
  normals,
  sketched,
  transpose,
} from "../testing/calibrated-tiers.js";
import { eigenvalues } from "../testing/eigenvalues.js";
import { Algebra } from "./algebra.js";
import {
  quantizeGroup,
  roundToNearest,
  type TierGroup,
  type TierInput,
  type TierSettings,
  tierLosses,
} from "./tiers.js";

const quantizers: readonly Quantizer[] = bitWidths.flatMap((bits) =>
  ([32, 64, 128] as const).flatMap((group) => [true, false].map((symmetric) => ({ bits, group, symmetric }))),
);
const four: Quantizer = { bits: 4, group: 32, symmetric: true };
const corrected: TierSettings = { k: 4, search: true, feedback: true, damping: 0.01, rounds: 1 };

let algebra: Algebra;
beforeAll(() => {
  algebra = new Algebra();
});
afterAll(() => algebra.close());

function input(out: number, d: number, seed: number, quantizer = four): TierInput {
  return { weights: normals(out * d, seed), out, quantizer };
}

function quantize(stats: InputStats, inputs: readonly TierInput[], settings: Partial<TierSettings>) {
  return quantizeGroup(algebra, stats, inputs, { ...roundToNearest, damping: 0.01, ...settings });
}

/** The errors E||(W - W') x||^2 of all matrices, in float64. */
function errorsOf(group: TierGroup, inputs: readonly TierInput[], c: Float32Array): number[] {
  return group.matrices.map(({ quantized, lowRank }, index) =>
    energyOf(errorOf(inputs[index]!.weights, quantized, lowRank, group.b), c, quantized.d),
  );
}

describe("the definition", () => {
  // 77 columns: neither a multiple of a group nor of the 16 rows that are rounded at a time.
  const d = 77;
  const stats = correlated(d, 2 * d, 1);

  test.each(quantizers)(
    "round to nearest, $bits bits, groups of $group, symmetric: $symmetric",
    async (quantizer) => {
      const inputs = [input(67, d, 2, quantizer)];
      const { quantized } = (await quantize(stats, inputs, {})).matrices[0]!;
      const error = errorOf(inputs[0]!.weights, quantized, null, null);
      const groups = Math.ceil(d / quantizer.group);
      error.forEach((value, at) => {
        const [row, column] = [Math.floor(at / d), at % d];
        const scale = quantized.scales[row * groups + Math.floor(column / quantizer.group)]!;
        // The zero is whole, so that the ends of an asymmetric range may lie half a step beyond the levels.
        const most = (quantizer.symmetric ? 0.5 : 1) * quantized.rowScales[row]! * scale;
        expect(Math.abs(value)).toBeLessThanOrEqual(most * 1.0001);
        expect(quantized.q[at]).toBeLessThan(2 ** quantizer.bits);
      });
    },
  );

  test.each(quantizers)(
    "errors are exact, $bits bits, groups of $group, symmetric: $symmetric",
    async (quantizer) => {
      const inputs = [input(35, d, 3, quantizer), input(6, d, 4, { ...four, bits: 6 })];
      const group = await quantize(stats, inputs, corrected);
      const c = momentOf(stats);
      errorsOf(group, inputs, c).forEach((error, index) => {
        expect(group.matrices[index]!.error).toBeCloseTo(error, 5 - Math.floor(Math.log10(error)));
        const energy = energyOf(inputs[index]!.weights, c, d);
        expect(group.matrices[index]!.energy / energy).toBeCloseTo(1, 5);
      });
    },
  );
});

describe("the correction", () => {
  const d = 40;
  const stats = correlated(d, 3 * d, 5);
  const c = momentOf(stats);
  const inputs = [input(24, d, 6), input(19, d, 7)];

  test("is the best of its rank for the quantised weights, but for the rounding of its factors", async () => {
    const group = await quantize(stats, inputs, { k: 8 });
    const total = errorsOf(group, inputs, c).reduce((sum, error) => sum + error);
    const stacked = group.matrices.flatMap(({ quantized }, index) => [
      ...errorOf(inputs[index]!.weights, quantized, null, null),
    ]);
    const scaled = multiply(stacked, cholesky(c, d), 43, d, d);
    const spectrum = eigenvalues(multiply(transpose(scaled, 43, d), scaled, d, 43, d), d);
    const best = spectrum.slice(8).reduce((sum, value) => sum + value);
    expect(total).toBeGreaterThan(best * (1 - 1e-5));
    expect(total).toBeLessThan(best * 1.003);
  });

  test("is found where C has a lower rank than it, and then leaves nothing", async () => {
    const group = await quantize(correlated(d, 6, 8), inputs, { ...corrected, k: 8 });
    for (const { error, energy } of group.matrices) expect(error).toBeLessThan(1e-6 * energy);
  });

  test("of weights that need none is zero", async () => {
    const zeros = [{ ...inputs[0]!, weights: new Float32Array(24 * d) }];
    const group = await quantize(stats, zeros, corrected);
    expect(group.matrices[0]!.error).toBe(0);
    expect(group.matrices[0]!.lowRank!.a.every((value) => value === 0)).toBe(true);
  });
});

describe("what each ingredient gains", () => {
  const d = 192;
  const stats = correlated(d, 2 * d, 9);
  const diagonal = exactStats(
    momentOf(stats).map((value, at) => (at % (d + 1) === 0 ? value : 0)),
    d,
  );

  test.each(quantizers)("$bits bits, groups of $group, symmetric: $symmetric", async (quantizer) => {
    const inputs = [input(64, d, 10, quantizer)];
    const error = async (at: InputStats, settings: Partial<TierSettings>) =>
      (await quantize(at, inputs, settings)).matrices[0]!.error;
    expect(await error(diagonal, { search: true })).toBeLessThanOrEqual(await error(diagonal, {}));
    expect(await error(stats, { feedback: true })).toBeLessThan(0.8 * (await error(stats, {})));
    expect(await error(stats, { feedback: true, k: 16 })).toBeLessThan(
      await error(stats, { feedback: true }),
    );
    expect(await error(stats, { k: 16 })).toBeLessThan(0.8 * (await error(stats, {})));
  });
});

describe("sketches", () => {
  const d = 160;
  const stats = correlated(d, 24, 17);
  const inputs = [input(40, d, 18), input(9, d, 19, { bits: 5, group: 64, symmetric: false })];

  test.each([{ k: 0 }, { k: 8 }, { k: 8, rounds: 2 }, { k: 8, feedback: false }])(
    "one that holds all of C serves as well as C itself: %o",
    async (settings) => {
      const exact = await quantize(stats, inputs, { ...corrected, ...settings });
      const sketch = await quantize(sketched(stats, 32, 20), inputs, { ...corrected, ...settings });
      const truth = errorsOf(sketch, inputs, momentOf(stats));
      exact.matrices.forEach(({ error }, index) => {
        expect(truth[index]! / error).toBeGreaterThan(0.9);
        expect(truth[index]! / error).toBeLessThan(1.1);
        expect(sketch.matrices[index]!.error / truth[index]!).toBeCloseTo(1, 1);
      });
    },
  );

  test("what a narrow one misses counts as spread evenly", async () => {
    const wide = correlated(d, 2 * d, 21);
    const c = momentOf(wide);
    const plain = errorsOf(await quantize(wide, inputs, { search: true }), inputs, c);
    const sketch = await quantize(sketched(wide, 64, 22), inputs, { ...corrected, k: 8 });
    errorsOf(sketch, inputs, c).forEach((error, index) => {
      expect(error).toBeLessThan(0.7 * plain[index]!);
      expect(sketch.matrices[index]!.error / error).toBeCloseTo(1, 0);
    });
  });
});

describe("the gate", () => {
  const d = 96;
  const stats = correlated(d, 2 * d, 23);
  const inputs = [input(70, d, 24), input(30, d, 25)];
  const samples = normals(70 * d, 26);

  test("has samples' errors, and predicts them by random projections of the error", async () => {
    const group = await quantizeGroup(algebra, stats, inputs, corrected, {
      projections: 16,
      seed: 27,
      samples,
    });
    const x = transpose(samples, 70, d);
    const squares = (rows: ArrayLike<number>) =>
      multiply(rows, x, rows.length / d, d, 70).reduce(
        (sums, value, at) => sums.map((sum, i) => (i === at % 70 ? sum + value * value : sum)),
        new Float64Array(70),
      );
    const errors = group.matrices.map(({ quantized, lowRank }, index) =>
      squares(errorOf(inputs[index]!.weights, quantized, lowRank, group.b)),
    );
    const projected = squares(dequantized(group.projections!, factorQuantizer, group.projections!.d));
    const { error, predicted, norm } = group.samples!;
    for (let i = 0; i < 70; i++) {
      const truth = errors[0]![i]! + errors[1]![i]!;
      expect(error[i]! / truth).toBeCloseTo(1, 4);
      expect(predicted[i]! / projected[i]!).toBeCloseTo(1, 4);
      const own = samples.subarray(i * d, (i + 1) * d).reduce((sum, value) => sum + value * value, 0);
      expect(norm[i]! / own).toBeCloseTo(1, 5);
      // 16 signs: the ratio's standard deviation is about sqrt(2 / 16).
      expect(predicted[i]! / truth).toBeGreaterThan(0.2);
      expect(predicted[i]! / truth).toBeLessThan(3);
    }
    const mean = predicted.reduce((sum, value) => sum + value) / error.reduce((sum, value) => sum + value);
    expect(mean).toBeGreaterThan(0.85);
    expect(mean).toBeLessThan(1.15);
  });
});

describe("what variants would lose", () => {
  const d = 96;
  const stats = correlated(d, 2 * d, 34);
  const c = momentOf(stats);
  // Of four panels of 64 rows every other one is sampled, and all of two.
  const inputs = [input(230, d, 35), input(70, d, 36)];
  const weights = inputs.map((one) => one.weights);
  const tokens = 11;
  const known = {
    inputs: normals(tokens * d, 37),
    gradients: inputs.map(({ out }, index) => normals(tokens * out, 38 + index)),
  };
  const five: Quantizer = { bits: 5, group: 64, symmetric: false };
  const variants = [
    { quantizer: four, rank: 0, sampled: false },
    { quantizer: five, rank: 8, sampled: false },
    { quantizer: five, rank: 0, sampled: true },
  ];

  test("is what those lose that are quantised, and what the gradients make of it", async () => {
    const losses = await tierLosses(algebra, stats, weights, variants, corrected, known);
    for (const [number, { quantizer, rank }] of variants.slice(0, 2).entries()) {
      const made = inputs.map((one) => ({ ...one, quantizer }));
      const group = await quantizeGroup(algebra, stats, made, { ...corrected, k: rank });
      const energies = new Float64Array(tokens);
      group.matrices.forEach(({ quantized, lowRank, error }, index) => {
        expect(losses[number]!.errors[index]! / error).toBeCloseTo(1, 6);
        const wrong = errorOf(weights[index]!, quantized, lowRank, group.b);
        const { out } = inputs[index]!;
        const images = multiply(known.inputs, transpose(wrong, out, d), tokens, d, out);
        const changes = images.map((y, i) => y * known.gradients[index]![i]!);
        const divergence = changes.reduce((sum, one) => sum + one * one, 0) / 2 / tokens;
        expect(losses[number]!.divergences[index]! / divergence).toBeCloseTo(1, 5);
        images.forEach((y, i) => {
          energies[Math.floor(i / out)]! += y * y;
        });
      });
      energies.forEach((energy, token) => {
        expect(losses[number]!.tokens[token]! / energy).toBeCloseTo(1, 5);
      });
    }
  });

  test("is asked of some rows", async () => {
    const [, , sampled] = await tierLosses(algebra, stats, weights, variants, corrected, known);
    const made = inputs.map((one) => ({ ...one, quantizer: five }));
    const group = await quantizeGroup(algebra, stats, made, { ...corrected, k: 0 });
    const errorOfRows = (index: number, ranges: readonly (readonly [number, number])[]) => {
      const wrong = errorOf(weights[index]!, group.matrices[index]!.quantized, null, null);
      return ranges.reduce((sum, [from, to]) => sum + energyOf(wrong.subarray(from * d, to * d), c, d), 0);
    };
    const halves = [
      [0, 64],
      [128, 192],
    ] as const;
    expect(sampled!.errors[0]! / errorOfRows(0, halves)).toBeCloseTo(1, 5);
    expect(sampled!.errors[1]! / errorOfRows(1, [[0, 70]])).toBeCloseTo(1, 5);
    expect(sampled!.divergences).toEqual([0, 0]);
  });

  test("does not depend on the number of threads", async () => {
    const results = [];
    for (const threads of [1, 3]) {
      const own = new Algebra(threads);
      results.push(await tierLosses(own, stats, weights, variants, corrected, known));
      await own.close();
    }
    expect(results[1]).toEqual(results[0]);
  });
});

test("the same bytes for 1, 2 and 5 threads, and when asked again", async () => {
  const d = 330;
  const inputs = [input(300, d, 28), input(77, d, 29, { bits: 3, group: 128, symmetric: false })];
  const gate = { projections: 8, seed: 30 };
  for (const stats of [correlated(d, 2 * d, 31), sketched(correlated(d, 64, 32), 96, 33)]) {
    const results: { bytes: Buffer; errors: number[] }[] = [];
    for (const threads of [1, 2, 5, 1]) {
      const own = new Algebra(threads);
      const group = await quantizeGroup(own, stats, inputs, { ...corrected, k: 12, rounds: 2 }, gate);
      await own.close();
      results.push({ bytes: bytesOf(group), errors: group.matrices.map(({ error }) => error) });
    }
    for (const result of results.slice(1)) expect(result).toEqual(results[0]);
  }
});

describe("hard inputs", () => {
  test.each([1, 32, 33, 65, 129])("%d columns, rows of zeros and of constants", async (d) => {
    const weights = normals(17 * d, 11);
    weights
      .fill(0, 0, d)
      .fill(-0.7, d, 2 * d)
      .fill(3, 2 * d, 3 * d)
      .fill(1e-42, 3 * d, 4 * d);
    for (const quantizer of quantizers) {
      const inputs = [{ weights, out: 17, quantizer }];
      const stats = correlated(d, d + 5, 12);
      const group = await quantize(stats, inputs, { ...corrected, k: d < 4 ? 0 : 4 });
      const error = errorOf(weights, group.matrices[0]!.quantized, null, null);
      expect(error.subarray(0, d).every((value) => value === 0)).toBe(true);
      expect(error.every(Number.isFinite)).toBe(true);
      expect(group.matrices[0]!.error).toBeLessThan(0.05 * group.matrices[0]!.energy);
    }
  });

  test("a second moment of zeros, and one of rank 1", async () => {
    const d = 64;
    for (const stats of [exactStats(new Float32Array(d * d), d), correlated(d, 1, 13)]) {
      const group = await quantize(stats, [input(8, d, 14)], corrected);
      expect(group.matrices[0]!.error).toBeLessThanOrEqual(1e-5 * group.matrices[0]!.energy);
    }
  });

  test("what is not finite, or no second moment, is refused", async () => {
    const d = 32;
    const stats = correlated(d, d, 15);
    const bad = input(4, d, 16);
    bad.weights[7] = Number.NaN;
    await expect(quantize(stats, [bad], {})).rejects.toThrow(
      "weights hold values that are no finite numbers",
    );
    const infinite = momentOf(stats).map((value, at) => (at === 3 ? Number.POSITIVE_INFINITY : value));
    const inputs = [input(4, d, 16)];
    await expect(quantize(exactStats(infinite, d), inputs, {})).rejects.toThrow("no finite numbers");
    const negative = momentOf(stats).map((value) => -value);
    await expect(quantize(exactStats(negative, d), inputs, { feedback: true })).rejects.toThrow(
      "not positive semidefinite",
    );
  });
});
