import type { CalibrationOrigin } from "../ir/statistics.js";

/** What is wrong with a second moment [d, d], or null. Eigenvectors of one that no input has would be those of nothing. */
export function momentProblem(matrix: Float32Array, d: number, meanSquaredNorm: number): string | null {
  let trace = 0;
  for (let row = 0; row < d; row++) {
    const square = matrix[row * d + row]!;
    if (!(square >= 0)) return `the mean of x[${row}]^2 is ${square}`;
    trace += square;
    for (let column = 0; column < row; column++) {
      const difference = Math.abs(matrix[row * d + column]! - matrix[column * d + row]!);
      if (!(difference <= 1e-3 * meanSquaredNorm)) return `it is not symmetric at [${row}, ${column}]`;
    }
  }
  if (Math.abs(trace - meanSquaredNorm) <= 1e-2 * meanSquaredNorm) return null;
  return `its trace is ${trace}, but the mean of ||x||^2 is ${meanSquaredNorm}`;
}

/** Whether a value is what gsic writes as the origin of statistics: a file of them may come from anywhere. */
export function isOrigin(value: CalibrationOrigin | null): value is CalibrationOrigin {
  switch (value?.kind) {
    case "text":
      return Array.isArray(value.files) && value.files.every((one) => typeof one === "string");
    case "sampled":
      return typeof value.seed === "number" && typeof value.temperature === "number";
    case "file":
      return typeof value.file === "string";
    default:
      return false;
  }
}
