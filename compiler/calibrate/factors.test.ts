import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dot, gaussian, orthonormal } from "../emit/kernel-testing.js";
import { linearById } from "../graph.js";
import type { InputStats, ValueId } from "../ir.js";
import { runTool } from "../native.js";
import { makePlan } from "../passes/index.js";
import { relativeError } from "../selfcheck.js";
import {
  densePlan,
  noFactors,
  openFixture,
  temporaryFolder,
  testTargets,
  writeTestBundle,
} from "../testing.js";
import { Algebra } from "./algebra.js";
import { Factors } from "./factors.js";
import { openStats, type StatsFile } from "./stats-file.js";

/** Eigenvalues of a symmetric matrix, largest first: cyclic Jacobi rotations in float64. */
function eigenvalues(matrix: ArrayLike<number>, d: number): number[] {
  const a = Float64Array.from(matrix);
  for (let sweep = 0; sweep < 12; sweep++) {
    for (let p = 0; p < d; p++) {
      for (let q = p + 1; q < d; q++) {
        if (a[p * d + q] === 0) continue;
        const angle = 0.5 * Math.atan2(2 * a[p * d + q]!, a[q * d + q]! - a[p * d + p]!);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (let i = 0; i < d; i++) rotate(a, i * d + p, i * d + q, c, s);
        for (let i = 0; i < d; i++) rotate(a, p * d + i, q * d + i, c, s);
      }
    }
  }
  return Array.from({ length: d }, (_, i) => a[i * d + i]!).sort((left, right) => right - left);
}

function rotate(a: Float64Array, p: number, q: number, c: number, s: number): void {
  const [x, y] = [a[p]!, a[q]!];
  a[p] = c * x - s * y;
  a[q] = s * x + c * y;
}

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
  const bundle = await writeTestBundle(model, densePlan, ["exact"], noFactors, testTargets().slice(0, 1));
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
    for (const { input, linears } of plan.groups.filter(({ gate }) => gate !== null)) {
      const { d } = linearById(plan.graph, linears[0]!).weight;
      const { secondMoment } = stats.read(input, d);
      if (secondMoment.kind !== "exact") throw new Error("a small input is not sketched");
      const basis = await factors.basis(input);
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
        expect(relativeError(await factors.image(linear), expected), linear).toBeLessThan(1e-5);
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
    await expect(factorsOf(6, stats).basis(input)).rejects.toMatchObject({
      code: "stats-too-few",
      category: "data",
      message: "k = 6 directions cannot come from 5 tokens",
    });
    expect(await factorsOf(5, stats).basis(input)).toHaveLength(5 * 34);
    const narrow: StatsFile = {
      ...stats,
      read: (id: ValueId, d: number): InputStats => ({
        ...stats.read(id, d),
        count: 1000,
        secondMoment: {
          kind: "sketch",
          width: 4,
          omega: new Float32Array(4 * d),
          product: new Float32Array(4 * d),
        },
      }),
    };
    await expect(factorsOf(5, narrow).basis(input)).rejects.toMatchObject({
      code: "stats-too-few",
      message: expect.stringContaining("sketch of 4"),
    });
    await algebra.close();
    model.weights.close();
  });
});

test("a Nystrom sketch finds the leading subspace of a decaying spectrum", async () => {
  const [d, width, k] = [160, 48, 12];
  const random = gaussian(5);
  const directions = orthonormal(Array.from({ length: d }, () => Float64Array.from({ length: d }, random)));
  const matrix = new Float32Array(d * d);
  for (let m = 0; m < d; m++) {
    const value = 2 ** (-m / 3);
    for (let i = 0; i < d; i++)
      for (let j = 0; j < d; j++)
        matrix[i * d + j]! += value * directions[m * d + i]! * directions[m * d + j]!;
  }
  const omega = Float32Array.from({ length: d * width }, random);
  const product = Float32Array.from({ length: d * width }, (_, at) => {
    const [i, j] = [Math.floor(at / width), at % width];
    let sum = 0;
    for (let m = 0; m < d; m++) sum += matrix[i * d + m]! * omega[m * width + j]!;
    return sum;
  });
  const algebra = new Algebra();
  const [exact, sketched] = await Promise.all([
    algebra.eigenvectors(matrix, d, k),
    algebra.nystrom(omega, product, d, width, k),
  ]);
  await algebra.close();
  for (const basis of [exact, sketched]) expectOrthonormal(basis, d, 1e-5);
  const best = captured(exact, matrix, d);
  expect(
    Math.abs(
      best /
        eigenvalues(matrix, d)
          .slice(0, k)
          .reduce((a, b) => a + b, 0) -
        1,
    ),
  ).toBeLessThan(1e-5);
  expect(captured(sketched, matrix, d) / best).toBeGreaterThan(0.999);
});
