/** The paper's cascade: layer l + 1's basis begins as layer l's, and a few steps of subspace iteration make it its own. */

import type { Algebra } from "../../compiler/calibrate/algebra.js";
import { leadingDirections } from "../../compiler/calibrate/factors.js";
import type { StatsFile } from "../../compiler/calibrate/stats-file.js";
import type { LayerInputs } from "./shared-basis.js";

/** One layer of the cascade. Energies are fractions of E||x||^2 that lie outside a basis of k directions. */
export interface CascadeLayer {
  readonly layer: number;
  /** Mean cosine of the principal angles to the exact basis of the layer before; null for the first layer. */
  readonly cosine: number | null;
  /** Outside the k leading eigenvectors; null where the statistics hold a sketch instead of C. */
  readonly outside_exact: number | null;
  /**
   * Outside the cascade's basis after 0, 1, ... steps; the 0th is that of the layer before as it is. Empty for the
   * first layer, which begins with its own, and where there is no C.
   */
  readonly outside_cascade: readonly number[];
}

/**
 * Runs the cascade through the layers' shared second moments, each in a file that `shareStatistics` wrote. A step is
 * V <- orthonormal basis of C V. Bases are rows, [k, d].
 */
export async function cascade(
  stats: StatsFile,
  layers: readonly LayerInputs[],
  { d, k, steps }: { d: number; k: number; steps: number },
  algebra: Algebra,
): Promise<CascadeLayer[]> {
  const result: CascadeLayer[] = [];
  let before: { exact: Float32Array; cascaded: Float32Array } | null = null;
  for (const { layer, inputs } of layers) {
    const input = stats.read(inputs[0]!, d);
    const exact = await leadingDirections(input, k, algebra);
    const cosine = before === null ? null : await meanCosine(before.exact, exact, k, d, algebra);
    let cascaded: Float32Array = before?.cascaded ?? exact;
    const { secondMoment } = input;
    if (secondMoment.kind === "sketch") {
      result.push({ layer, cosine, outside_exact: null, outside_cascade: [] });
    } else {
      const outside = async (basis: Float32Array) => {
        const energies = await algebra.captured(secondMoment.matrix, basis, d);
        return 1 - energies.reduce((sum, energy) => sum + energy, 0) / input.meanSquaredNorm;
      };
      const left: number[] = [];
      for (let step = 0; before !== null && step <= steps; step++) {
        if (step > 0) {
          const product = await algebra.multiplyTransposed(cascaded, secondMoment.matrix, k, d, d);
          cascaded = orthonormalize(product, d);
        }
        left.push(await outside(cascaded));
      }
      result.push({ layer, cosine, outside_exact: await outside(exact), outside_cascade: left });
    }
    before = { exact, cascaded };
  }
  return result;
}

/**
 * Orthonormal rows that span what the rows of `vectors` [k, d] span: Gram-Schmidt with every vector orthogonalised
 * twice, after Daniel, Gragg, Kaufman and Stewart 1976 (DGKS). The rows must be linearly independent.
 */
export function orthonormalize(vectors: Float32Array, d: number): Float32Array {
  const k = vectors.length / d;
  const rows: Float64Array[] = [];
  for (let row = 0; row < k; row++) {
    const x = Float64Array.from(vectors.subarray(row * d, (row + 1) * d));
    scale(x, 1 / Math.sqrt(dot(x, x)));
    for (let pass = 0; pass < 2; pass++) {
      for (const other of rows) {
        const along = dot(x, other);
        for (let i = 0; i < d; i++) x[i]! -= along * other[i]!;
      }
      scale(x, 1 / Math.sqrt(dot(x, x)));
    }
    rows.push(x);
  }
  const result = new Float32Array(k * d);
  rows.forEach((row, index) => {
    result.set(row, index * d);
  });
  return result;
}

function dot(left: Float64Array, right: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < left.length; i++) sum += left[i]! * right[i]!;
  return sum;
}

function scale(x: Float64Array, factor: number): void {
  for (let i = 0; i < x.length; i++) x[i]! *= factor;
}

/**
 * The mean cosine of the principal angles between the spans of two bases [k, d]: the mean of the singular values of
 * A B^T (Bjorck and Golub 1973). Two random subspaces have at most sqrt(k / d), since their squares' mean is k / d.
 */
export async function meanCosine(
  a: Float32Array,
  b: Float32Array,
  k: number,
  d: number,
  algebra: Algebra,
): Promise<number> {
  const product = await algebra.multiplyTransposed(a, b, k, k, d);
  const squared = await algebra.multiplyTransposed(product, product, k, k, k);
  const directions = await algebra.eigenvectors(squared, k, k);
  const squares = await algebra.captured(squared, directions, k);
  return squares.reduce((sum, square) => sum + Math.sqrt(Math.min(1, Math.max(0, square))), 0) / k;
}
