import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runTool } from "../cc/tool.js";
import { relativeError } from "../check/check.js";
import { sharing } from "../ir/forms.js";
import type { ValueId } from "../ir/graph.js";
import { linearById } from "../ir/walk.js";
import { wholeImage } from "../oracle/reference-plan.js";
import { makePlan } from "../passes/index.js";
import { eigenvalues } from "../testing/eigenvalues.js";
import {
  densePlan,
  noFactors,
  openFixture,
  temporaryFolder,
  testTargets,
  writeTestBundle,
} from "../testing/fixtures.js";
import { dot } from "../testing/kernels.js";
import { plantedEnergy, plantedSketch } from "../testing/sketch.js";
import { Algebra } from "./algebra.js";
import { Factors } from "./factors.js";
import { sketchErrors, sketchErrorTable } from "./sketch-error.js";
import { openStats, type StatsFile } from "./stats-file.js";

/** tr(V^T C V): the mean energy that the subspace of V's rows holds. */
function captured(basis: Float32Array, matrix: ArrayLike<number>, d: number): number {
  let sum = 0;
  for (let row = 0; row < basis.length; row += d) {
    const v = basis.subarray(row, row + d);
    for (let i = 0; i < d; i++) sum += v[i]! * dot(v, Array.prototype.slice.call(matrix, i * d, (i + 1) * d));
  }
  return sum;
}

function expectOrthonormal(basis: Float32Array, d: number, tolerance: number): void {
  for (let i = 0; i < basis.length; i += d) {
    for (let j = 0; j <= i; j += d) {
      const product = dot(basis.subarray(i, i + d), basis.subarray(j, j + d));
      expect(Math.abs(product - (i === j ? 1 : 0)), `rows ${i / d}, ${j / d}`).toBeLessThan(tolerance);
    }
  }
}

const gated = (k: number) => ({ forms: ["gated" as const], k: [k], epsilon: [0.5] });

/** A fixture's own statistics over `count` tokens. */
async function fixtureStats(name: string, count: number) {
  const { model } = await openFixture(name);
  const bundle = await writeTestBundle(
    model,
    densePlan,
    ["exact"],
    noFactors,
    (await testTargets()).slice(0, 1),
  );
  const folder = await temporaryFolder();
  const [ids, out] = [join(folder, "ids"), join(folder, "stats")];
  await writeFile(
    ids,
    Int32Array.from({ length: count }, (_, i) => (i * 31 + 3) % model.graph.vocabulary),
  );
  await runTool(["calibrate", bundle, "--ids-file", ids, "--window", "40", "--out", out]);
  return { model, stats: await openStats(out, model.fingerprint) };
}

describe("factors", () => {
  test("V is orthonormal and holds the leading subspace; M = W V for V as it is rounded", async () => {
    const { model, stats } = await fixtureStats("llama-biases", 300);
    const algebra = new Algebra();
    const plan = makePlan(model.graph, { options: gated(7) });
    const factors = new Factors(plan, model.weights, stats, algebra);
    for (const { input, linears } of plan.groups.filter((group) => sharing(plan, group).subspace !== null)) {
      const { d } = linearById(plan.graph, linears[0]!).weight;
      const { secondMoment } = stats.read(input, d);
      if (secondMoment.kind !== "exact") throw new Error("a small input is not sketched");
      const basis = await factors.basis(input, 7);
      expect(basis).toHaveLength(7 * d);
      expectOrthonormal(basis, d, 1e-3);
      const leading = eigenvalues(secondMoment.matrix, d)
        .slice(0, 7)
        .reduce((a, b) => a + b, 0);
      expect(captured(basis, secondMoment.matrix, d) / leading, input).toBeGreaterThan(0.999);
      expect(captured(basis, secondMoment.matrix, d) / leading, input).toBeLessThan(1.001);
      for (const linear of linears) {
        const { weight } = linearById(plan.graph, linear);
        const w = model.weights.readRows(weight, 0, weight.out);
        const expected = Float64Array.from({ length: weight.out * 7 }, (_, at) => {
          const [row, column] = [Math.floor(at / 7), at % 7];
          return dot(w.subarray(row * d, (row + 1) * d), basis.subarray(column * d, (column + 1) * d));
        });
        expect(relativeError(await wholeImage(factors.image(linear, 7)), expected), linear).toBeLessThan(
          1e-5,
        );
      }
    }
    await algebra.close();
    model.weights.close();
  });

  test("more directions than tokens, or than the sketch is wide, are refused", async () => {
    const { model, stats } = await fixtureStats("gpt2-bf16", 5);
    const algebra = new Algebra();
    const factorsOf = (k: number, file: StatsFile) =>
      new Factors(makePlan(model.graph, { options: gated(k) }), model.weights, file, algebra);
    const input = "layer0_attention_norm";
    expect(() => factorsOf(6, stats).check()).toThrow(
      expect.objectContaining({
        code: "stats-too-few",
        category: "data",
        message: "k = 6 directions cannot come from 5 tokens",
      }),
    );
    expect(await factorsOf(5, stats).basis(input, 5)).toHaveLength(5 * 34);
    const narrow: StatsFile = {
      ...stats,
      summary: (id: ValueId, d: number) => ({
        ...stats.summary(id, d),
        count: 1000,
        sketch: { width: 4, seed: 1 },
      }),
    };
    expect(() => factorsOf(5, narrow).check()).toThrow(
      expect.objectContaining({ code: "stats-too-few", message: expect.stringContaining("sketch of 4") }),
    );
    await algebra.close();
    model.weights.close();
  });
});

describe("a Nystrom sketch", () => {
  const d = 2048;
  const decays: [string, (m: number) => number, number, number][] = [
    // Spectra as activations have them: one direction far above the rest, then fast or slow decay.
    ["fast decay", (m) => 2 ** (-m / 8), 0.999999, 1.02],
    ["slow decay, m^-1", (m) => 1 / (m + 1), 0.98, 1.06],
    ["a leading direction 10^4 above slow decay", (m) => (m === 0 ? 1e4 : 1 / (m + 1)), 0.99999, 1.06],
    ["rank 20, far below k", (m) => (m < 20 ? 1 : 0), 0.999999, 1],
  ];
  test.each(decays)(
    "of a planted spectrum, %s, captures what the best basis does",
    async (_, decay, captures, leaves) => {
      const [k, width] = [64, 256];
      const spectrum = Float64Array.from({ length: d }, (_, m) => decay(m));
      const algebra = new Algebra();
      const found = await algebra.nystrom(plantedSketch(spectrum, width, 7), d, width, k, 7);
      await algebra.close();
      expectOrthonormal(found, d, 1e-5);
      const sum = (values: Float64Array) => values.reduce((a, b) => a + b, 0);
      const [best, total] = [sum(spectrum.subarray(0, k)), sum(spectrum)];
      const energy = plantedEnergy(spectrum, found);
      expect(energy / best).toBeGreaterThan(captures);
      expect(energy / best).toBeLessThan(1 + 1e-6);
      // What is left decides the gate: ||r||^2 = ||x||^2 - ||g||^2.
      if (total > best) expect((total - energy) / (total - best)).toBeLessThan(leaves);
    },
  );

  test("that is no sketch of a covariance is refused", async () => {
    const algebra = new Algebra();
    const product = Float32Array.from({ length: 64 * 8 }, (_, i) => Math.sin(i * i));
    await expect(algebra.nystrom(product, 64, 8, 4, 7)).rejects.toThrow("not positive definite");
    await algebra.close();
  });

  test("of a model's statistics is compared with the exact ones", async () => {
    const { stats, model } = await fixtureStats("gpt2-bf16", 300);
    const algebra = new Algebra();
    const settings = [
      { k: 8, width: 32 },
      { k: 8, width: 200 },
    ];
    const errors = await sketchErrors(stats, "layer0_activation", settings, algebra);
    await algebra.close();
    expect(errors).toHaveLength(1); // 200 is more than d = 136
    expect(errors![0]!.sketched / errors![0]!.exact).toBeGreaterThan(0.98);
    expect(errors![0]!.sketched).toBeLessThanOrEqual(errors![0]!.exact + 1e-6);
    expect(sketchErrorTable(errors!).split("\n")[1]).toMatch(/^136 \| 8 \| 32 \| 1 \| 0\.\d{5} \| /);
    model.weights.close();
  });
});
