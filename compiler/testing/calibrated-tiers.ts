/** What quantised groups are compared with: float64, slow and obvious. Matrices are row by row. */

import type { TierGroup } from "../calibrate/tiers.js";
import type { InputStats } from "../ir/statistics.js";
import { dequantized, type LowRank, type ShapedMatrix } from "../layout/quantizer.js";
import { gaussian } from "./kernels.js";
import { omegaOf } from "./sketch.js";

export function normals(count: number, seed: number): Float32Array {
  const next = gaussian(seed);
  return Float32Array.from({ length: count }, next);
}

/** A B for A [m, n] and B [n, p]. */
export function multiply(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  m: number,
  n: number,
  p: number,
): Float64Array {
  const c = new Float64Array(m * p);
  for (let i = 0; i < m; i++) {
    for (let k = 0; k < n; k++) {
      for (let j = 0; j < p; j++) c[i * p + j]! += a[i * n + k]! * b[k * p + j]!;
    }
  }
  return c;
}

export function transpose(a: ArrayLike<number>, rows: number, columns: number): Float64Array {
  return Float64Array.from(
    { length: rows * columns },
    (_, i) => a[(i % rows) * columns + Math.floor(i / rows)]!,
  );
}

/**
 * The second moment of x = G z: `rank` independent channels z, of which the m-th has variance 1/m, mixed by a random
 * G [d, rank].
 */
export function correlated(d: number, rank: number, seed: number): InputStats {
  const factor = normals(d * rank, seed).map((value, at) => value / Math.sqrt(1 + (at % rank)));
  const matrix = Float32Array.from(multiply(factor, transpose(factor, d, rank), d, rank, d));
  return exactStats(matrix, d);
}

export function exactStats(matrix: Float32Array, d: number): InputStats {
  const meanSquaredNorm = Array.from({ length: d }, (_, i) => matrix[i * d + i]!).reduce((a, b) => a + b, 0);
  const mean = new Float32Array(d);
  return { d, count: d, mean, meanSquaredNorm, secondMoment: { kind: "exact", matrix } };
}

/** The same statistics as a sketch of `width` columns would keep them. */
export function sketched(stats: InputStats, width: number, seed: number): InputStats {
  const { d } = stats;
  const product = Float32Array.from(multiply(momentOf(stats), omegaOf(seed, d, width), d, d, width));
  return { ...stats, secondMoment: { kind: "sketch", width, seed, product } };
}

export function momentOf({ secondMoment }: InputStats): Float32Array {
  if (secondMoment.kind !== "exact") throw new Error("a sketch has no matrix");
  return secondMoment.matrix;
}

/** W - Q - A B^T, [out, d], as its definition says. */
export function errorOf(
  weights: ArrayLike<number>,
  quantized: ShapedMatrix,
  lowRank: LowRank | null,
  b: ShapedMatrix | null,
): Float64Array {
  const { out, d } = quantized;
  const values = dequantized(quantized, quantized.quantizer, d);
  const error = Float64Array.from({ length: out * d }, (_, i) => weights[i]! - values[i]!);
  if (lowRank === null || b === null) return error;
  const k = lowRank.a.length / out;
  const a = Float64Array.from(lowRank.a, (value, i) => value * lowRank.scales[Math.floor(i / k)]!);
  const correction = multiply(a, dequantized(b, b.quantizer, d), out, k, d);
  return error.map((value, i) => value - correction[i]!);
}

/** tr(E C E^T) for E [rows, d]. */
export function energyOf(error: ArrayLike<number>, c: ArrayLike<number>, d: number): number {
  const rows = error.length / d;
  return multiply(error, c, rows, d, d).reduce((sum, value, i) => sum + value * error[i]!, 0);
}

/** L with C = L L^T for a positive definite C [d, d]. */
export function cholesky(c: ArrayLike<number>, d: number): Float64Array {
  const l = new Float64Array(d * d);
  for (let i = 0; i < d; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = c[i * d + j]!;
      for (let k = 0; k < j; k++) sum -= l[i * d + k]! * l[j * d + k]!;
      l[i * d + j] = i === j ? Math.sqrt(sum) : sum / l[j * d + j]!;
    }
  }
  return l;
}

/** All bytes of a group, one array behind the other. */
export function bytesOf({ matrices, b, projections }: TierGroup): Buffer {
  const quantized = [...matrices.map((matrix) => matrix.quantized), b, projections].filter((m) => m !== null);
  const arrays = [
    ...quantized.flatMap(({ q, scales, zeros, rowScales }) => [q, scales, zeros, rowScales]),
    ...matrices.flatMap(({ lowRank }) => [lowRank?.a, lowRank?.scales]),
  ];
  return Buffer.concat(
    arrays.map((array) =>
      array ? Buffer.from(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength) : Buffer.alloc(0),
    ),
  );
}
