/** Eigenvalues of a symmetric matrix, largest first: cyclic Jacobi rotations in float64. */
export function eigenvalues(matrix: ArrayLike<number>, d: number): number[] {
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
