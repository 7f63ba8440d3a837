import { spawnSync } from "node:child_process";
import { afterAll, describe, expect, test } from "vitest";
import { buildRuntime } from "../cc/index.js";
import { dot, gaussian } from "../testing/kernels.js";
import { Algebra, AlgebraError } from "./algebra.js";

const algebra = new Algebra();
afterAll(() => algebra.close());

/** More tokens than a block has, and more rows than are multiplied at once; token 3 is zero. */
const [n, d, out, kmax] = [70, 24, 530, 9];
const random = gaussian(11);
const matrix = (rows: number) => Float32Array.from({ length: rows * d }, random);
const inputs = matrix(n);
inputs.fill(0, 3 * d, 4 * d);
const weights = matrix(out);
/** Orthonormal: cosines. */
const basis = Float32Array.from({ length: kmax * d }, (_, i) => {
  const [m, at] = [1 + Math.floor(i / d), i % d];
  return Math.sqrt(2 / d) * Math.cos((Math.PI * m * (at + 0.5)) / d);
});
const rowsOf = (values: Float32Array) =>
  Array.from({ length: values.length / d }, (_, i) => values.subarray(i * d, (i + 1) * d));
const norm2 = (x: ArrayLike<number>) => dot(x, x);
const product = (a: Float32Array, x: ArrayLike<number>) => rowsOf(a).map((row) => dot(row, x));

function expectNear(found: Float32Array, expected: readonly number[]): void {
  expect(found).toHaveLength(expected.length);
  expected.forEach((value, i) => {
    expect(Math.abs(found[i]! - value), `${i}: ${found[i]}, ${value}`).toBeLessThanOrEqual(2e-6 * value);
  });
}

describe("surveys of gate predictors", () => {
  test("subspaces: rho and the missing output, for every k", async () => {
    const ks = [1, 4, kmax];
    const found = await algebra.surveySubspaces(inputs, basis, weights, d, ks);
    expectNear(found.squaredNorms, rowsOf(inputs).map(norm2));
    expect(found.subspaces.map(({ k }) => k)).toEqual(ks);
    for (const { k, rho, errors } of found.subspaces) {
      const residuals = rowsOf(inputs).map((x) => {
        const r = Float64Array.from(x);
        for (const v of rowsOf(basis).slice(0, k)) {
          const g = dot(v, x);
          for (let i = 0; i < d; i++) r[i]! -= g * v[i]!;
        }
        return r;
      });
      const shares = rowsOf(inputs).map((x, t) => Math.sqrt(norm2(residuals[t]!) / (norm2(x) || 1)));
      expectNear(rho, shares);
      expectNear(
        errors,
        residuals.map((r) => norm2(product(weights, r))),
      );
      expect([rho[3], errors[3]]).toEqual([0, 0]);
    }
  });

  test("a residual far below its input keeps its digits", async () => {
    const small = 2 ** -20;
    const x = Float32Array.of(1, small, 0);
    const e1 = Float32Array.of(1, 0, 0);
    const identity = Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);
    const found = await algebra.surveySubspaces(x, e1, identity, 3, [1]);
    expectNear(found.subspaces[0]!.rho, [small / Math.sqrt(1 + small * small)]);
    expectNear(found.subspaces[0]!.errors, [small * small]);
  });

  test("a tier: its error, and what projections say of it", async () => {
    const projections = matrix(4);
    const found = await algebra.surveyTier(inputs, weights, projections, d);
    expectNear(
      found.errors,
      rowsOf(inputs).map((x) => norm2(product(weights, x))),
    );
    expectNear(
      found.projected,
      rowsOf(inputs).map((x) => norm2(product(projections, x))),
    );
    expectNear(found.squaredNorms, rowsOf(inputs).map(norm2));
  });

  test("bad requests are refused, and the next is answered", async () => {
    await expect(
      algebra.surveyTier(inputs.slice().fill(Number.NaN, 5, 6), weights, basis, d),
    ).rejects.toThrow(AlgebraError);
    expect((await algebra.surveyTier(inputs, weights, basis, d)).errors).toHaveLength(n);
  });

  test("the bytes do not depend on the number of threads", async () => {
    const header = { op: "subspace_survey", n, d, out, ks: [2, kmax] };
    const request = Buffer.concat([
      Buffer.from(`${JSON.stringify(header)}\n`),
      ...[inputs, basis, weights].map((values) =>
        Buffer.from(values.buffer, values.byteOffset, values.byteLength),
      ),
    ]);
    const answers = [];
    for (const threads of ["1", "2", "5"]) {
      const child = spawnSync(await buildRuntime("tool"), ["linalg", "--threads", threads], {
        input: request,
      });
      expect(child.status, child.stderr.toString()).toBe(0);
      answers.push(child.stdout);
    }
    expect(answers[0]!.length).toBeGreaterThan(4 * 5 * n);
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });
});
