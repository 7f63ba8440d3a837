import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildRuntime } from "../cc/index.js";
import type { InputStats } from "../ir/statistics.js";
import { hadamard, plantedSketch } from "../testing/sketch.js";
import { Algebra } from "./algebra.js";
import { leadingDirections } from "./factors.js";
import { distinctDirections } from "./rank.js";

const algebra = new Algebra();
beforeAll(() => buildRuntime("tool"), 900_000);
afterAll(() => algebra.close());

/** Statistics with these eigenvalues on the rows of a Hadamard matrix, then each channel times `scales`. */
function planted(spectrum: Float64Array, scales: (channel: number) => number = () => 1): InputStats {
  const d = spectrum.length;
  const rows = Float64Array.from({ length: d * d }, (_, at) => (at % (d + 1) === 0 ? 1 : 0));
  hadamard(rows, d);
  const matrix = new Float32Array(d * d);
  let meanSquaredNorm = 0;
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < d; j++) {
      let sum = 0;
      for (let m = 0; m < d; m++) sum += rows[m * d + i]! * rows[m * d + j]! * spectrum[m]!;
      matrix[i * d + j] = sum * scales(i) * scales(j);
    }
    meanSquaredNorm += matrix[i * d + i]!;
  }
  return statsOf({ kind: "exact", matrix }, d, meanSquaredNorm);
}

function statsOf(secondMoment: InputStats["secondMoment"], d: number, meanSquaredNorm: number): InputStats {
  return { d, count: 1000, mean: new Float32Array(d), meanSquaredNorm, secondMoment };
}

async function distinct(stats: InputStats, k: number): Promise<number> {
  return distinctDirections(stats, await leadingDirections(stats, k, algebra));
}

const spectrumOf = (d: number, eigenvalue: (m: number) => number) =>
  Float64Array.from({ length: d }, (_, m) => eigenvalue(m));

test("directions beyond the rank of a second moment are rounding", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 63 }),
      fc.double({ min: 0, max: 2, noNaN: true }),
      async (rank, decay) => {
        const stats = planted(spectrumOf(64, (m) => (m < rank ? (m + 1) ** -decay : 0)));
        expect(await distinct(stats, 64)).toBe(rank);
        expect(await distinct(stats, rank)).toBe(rank);
      },
    ),
    { numRuns: 12, seed: 3 },
  );
});

test.each([
  ["decay to 1e-5", planted(spectrumOf(64, (m) => 10 ** (-m / 12.6)))],
  ["one direction 1e4 above the others", planted(spectrumOf(64, (m) => (m === 0 ? 1e4 : 1 / (m + 1))))],
  [
    "a channel of 1e10 times the energy",
    planted(
      spectrumOf(64, (m) => 1 / (m + 1)),
      (i) => (i === 5 ? 1e5 : 1),
    ),
  ],
  [
    "channels of no energy",
    planted(
      spectrumOf(64, (m) => 1 / (m + 1)),
      (i) => (i % 4 === 1 ? 0 : 1),
    ),
  ],
])("directions that a second moment has stand out: %s", async (name, stats) => {
  const k = name === "channels of no energy" ? 48 : 64;
  expect(await distinct(stats, k)).toBe(k);
});

test.each([
  ["rank 20", (m: number) => (m < 20 ? 1 : 0), 20],
  ["rank 20, decaying", (m: number) => (m < 20 ? 2 ** -m : 0), 20],
  ["1/m", (m: number) => 1 / (m + 1), 64],
  ["2^(-m/8)", (m: number) => 2 ** (-m / 8), 64],
  ["1e4, then 1/m", (m: number) => (m === 0 ? 1e4 : 1 / (m + 1)), 64],
] as const)("so in a sketch: %s", async (_, eigenvalue, expected) => {
  const spectrum = spectrumOf(2048, eigenvalue);
  const secondMoment = {
    kind: "sketch",
    product: plantedSketch(spectrum, 256, 7),
    width: 256,
    seed: 7,
  } as const;
  const stats = statsOf(
    secondMoment,
    2048,
    spectrum.reduce((a, b) => a + b, 0),
  );
  expect(await distinct(stats, 64)).toBe(expected);
});
