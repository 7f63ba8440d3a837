import type { Quantizer } from "../ir/plan.js";

/**
 * A matrix [out, d] at few bits, unpacked:
 * w[r][c] = rowScales[r] scales[r][g] (q[r][c] - zeros[r][g]) with g = floor(c / group).
 */
export interface QuantizedMatrix {
  /** [out, d], 0 to 2^bits - 1. */
  readonly q: Uint8Array;
  /** [out, ceil(d / group)]. */
  readonly scales: Int8Array;
  /** [out, ceil(d / group)], 0 to 2^bits - 1; null: 2^(bits - 1) everywhere. */
  readonly zeros: Uint8Array | null;
  /** [out]. */
  readonly rowScales: Float32Array;
}

/** A quantised matrix with what it takes to read it. */
export interface ShapedMatrix extends QuantizedMatrix {
  readonly quantizer: Quantizer;
  readonly out: number;
  readonly d: number;
}

/** A low-rank factor [out, rank] in eight bits: A[r][j] = scales[r] a[r][j]. */
export interface LowRank {
  readonly a: Int8Array;
  readonly scales: Float32Array;
}

/** What stands for a weight matrix at few bits: y = Q x + A (B^T x). */
export interface QuantizedLinear {
  readonly matrix: QuantizedMatrix;
  /** A; null without a correction. */
  readonly lowRank: LowRank | null;
}

/** Groups of a row of d elements. */
export function groupsOf({ group }: Pick<Quantizer, "group">, d: number): number {
  return Math.ceil(d / group);
}

/** The numbers of a quantised matrix with rows of d elements. */
export function dequantized(
  { q, scales, zeros, rowScales }: QuantizedMatrix,
  { bits, group }: Quantizer,
  d: number,
): Float64Array {
  const groups = groupsOf({ group }, d);
  const w = new Float64Array(q.length);
  for (let i = 0; i < w.length; i++) {
    const row = Math.floor(i / d);
    const g = row * groups + Math.floor((i % d) / group);
    const zero = zeros === null ? 2 ** (bits - 1) : zeros[g]!;
    w[i] = rowScales[row]! * scales[g]! * (q[i]! - zero);
  }
  return w;
}
