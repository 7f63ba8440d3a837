import { factorType } from "../cost.js";
import type { MatrixRef, WeightSource } from "../ir.js";

/** Element type, rows and columns of a matrix in the bundle. */
export function shapeOf(source: WeightSource): Pick<MatrixRef, "dtype" | "out" | "d"> {
  switch (source.kind) {
    case "stored":
      return source.matrix;
    case "basis":
      return { dtype: factorType, out: source.k, d: source.d };
    case "image":
      return { dtype: factorType, out: source.out, d: source.k };
    default:
      return source satisfies never;
  }
}
