import type { InputStats } from "../ir/statistics.js";

/** Spacing of f32 and of f64 at 1. */
const single = 2 ** -23;
const double = 2 ** -52;

/**
 * How many of the leading eigenvectors, rows [k, d], largest eigenvalue first, stand above the rounding of the second
 * moment that they were computed from: k, unless its rank is lower. Costs d^2 operations for a matrix, d l for a sketch,
 * and more only where some do not.
 */
export function distinctDirections(stats: InputStats, vectors: Float32Array): number {
  const { d } = stats;
  const k = vectors.length / d;
  const stands = (index: number) => standsOut(stats, vectors.subarray(index * d, (index + 1) * d));
  if (stands(k - 1)) return k;
  let [within, beyond] = [0, k - 1];
  while (within < beyond) {
    const middle = (within + beyond) >> 1;
    if (stands(middle)) within = middle + 1;
    else beyond = middle;
  }
  return within;
}

/**
 * Whether the energy of a unit vector v is more than rounding can make. For C: v^T C v, of which f32 entries leave
 * |v|^T |C| |v| eps uncertain, the eigenvectors' own rounding eps^2 of the trace, and the eigensolver d eps_64 of it. The
 * bound is by entries, since activations have channels of energies many orders of magnitude apart. For a sketch Y = C
 * Omega: ||v^T Y||, which is the eigenvalue times ||v^T Omega||, against || |v|^T |Y| || eps.
 */
function standsOut({ d, meanSquaredNorm, secondMoment }: InputStats, v: Float32Array): boolean {
  switch (secondMoment.kind) {
    case "exact": {
      const { sums, sizes } = products(secondMoment.matrix, v, d);
      const energy = sums.reduce((sum, value, i) => sum + value * v[i]!, 0);
      const rounding = sizes.reduce((sum, value, i) => sum + value * Math.abs(v[i]!), 0) * single;
      return energy > rounding + (d * double + single ** 2) * meanSquaredNorm;
    }
    case "sketch": {
      const { sums, sizes } = products(secondMoment.product, v, secondMoment.width);
      return Math.hypot(...sums) > single * Math.hypot(...sizes);
    }
    default:
      return secondMoment satisfies never;
  }
}

/** v^T A and |v|^T |A| for A [d, columns]. */
function products(
  matrix: Float32Array,
  v: Float32Array,
  columns: number,
): Record<"sums" | "sizes", Float64Array> {
  const [sums, sizes] = [new Float64Array(columns), new Float64Array(columns)];
  for (let row = 0; row < v.length; row++) {
    const scale = v[row]!;
    for (let column = 0; column < columns; column++) {
      const product = scale * matrix[row * columns + column]!;
      sums[column]! += product;
      sizes[column]! += Math.abs(product);
    }
  }
  return { sums, sizes };
}
