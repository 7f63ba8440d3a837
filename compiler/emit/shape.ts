import type { DType, MatrixRef, WeightSource } from "../ir.js";

/** The type in which factors that the compiler makes (bases, images) are kept. */
export const factorType = "f16" satisfies DType;

/** Element type, rows and columns of a matrix in the bundle. */
export function shapeOf(source: WeightSource): Pick<MatrixRef, "dtype" | "out" | "d"> {
  switch (source.kind) {
    case "stored":
      return source.matrix;
    case "basis":
      return { dtype: factorType, out: source.k, d: source.d };
    case "image":
      return { dtype: factorType, out: source.out, d: source.k };
    case "stacked": {
      const shapes = source.parts.map(shapeOf);
      return { ...shapes[0]!, out: shapes.reduce((sum, { out }) => sum + out, 0) };
    }
    default:
      return source satisfies never;
  }
}
