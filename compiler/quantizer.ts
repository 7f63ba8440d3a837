/** Quantised matrices and low-rank corrections: plain data. Imports nothing. */

/** How a matrix is quantised. */
export interface Quantizer {
  readonly bits: 3 | 4 | 5 | 6 | 8;
  /** Columns that share a scale. */
  readonly group: 32 | 64 | 128;
  /** Whether zero is 2^(bits - 1) everywhere; else each group has its own. */
  readonly symmetric: boolean;
}

/**
 * A quantised [out, d], unpacked: w[r][c] = rowScales[r] scales[r][g] (q[r][c] - zero[r][g]) with g = floor(c / group)
 * and G = ceil(d / group) groups a row. Multiplied from left to right in f32.
 */
export interface QuantizedMatrix {
  readonly quantizer: Quantizer;
  readonly out: number;
  readonly d: number;
  /** [out, d], 0 to 2^bits - 1. */
  readonly q: Uint8Array;
  /** [out, G], signed. */
  readonly scales: Int8Array;
  /** [out, G], 0 to 2^bits - 1; null if symmetric. */
  readonly zeros: Uint8Array | null;
  /** [out]. */
  readonly rowScales: Float32Array;
}

/** The left factor A [out, k] of a low-rank correction A B^T: A[r][j] = rowScales[r] a[r][j]. */
export interface LowRank {
  readonly k: number;
  /** [out, k]. */
  readonly a: Int8Array;
  /** [out]. */
  readonly rowScales: Float32Array;
}

/** How B^T [k, d] and the projections of a gate are quantised. */
export const factorQuantizer = { bits: 8, group: 64, symmetric: true } as const satisfies Quantizer;

/** Groups in a row of d columns. */
export function groupsOf({ group }: Quantizer, d: number): number {
  return Math.ceil(d / group);
}

/** Bytes of a quantised [out, d], its values packed to `bits` each. */
export function quantizedBytes(quantizer: Quantizer, out: number, d: number): number {
  const groups = out * groupsOf(quantizer, d);
  return Math.ceil((out * d * quantizer.bits) / 8) + groups * (quantizer.symmetric ? 1 : 2) + 4 * out;
}

/** Bytes of an A [out, k]. */
export function lowRankBytes(out: number, k: number): number {
  return k === 0 ? 0 : out * (k + 4);
}

/** The values of a quantised matrix, [out, d]. */
export function dequantized({
  quantizer,
  out,
  d,
  q,
  scales,
  zeros,
  rowScales,
}: QuantizedMatrix): Float32Array {
  const groups = groupsOf(quantizer, d);
  const values = new Float32Array(out * d);
  for (let row = 0; row < out; row++) {
    for (let column = 0; column < d; column++) {
      const at = row * groups + Math.floor(column / quantizer.group);
      const zero = zeros === null ? 2 ** (quantizer.bits - 1) : zeros[at]!;
      const step = Math.fround(rowScales[row]! * scales[at]!);
      values[row * d + column] = step * (q[row * d + column]! - zero);
    }
  }
  return values;
}
