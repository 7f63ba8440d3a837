import { quantizerText } from "../ir/forms.js";
import type { DType, ElementType, MatrixRef } from "../ir/graph.js";
import type { PlainSource, WeightSource } from "../ir/steps.js";

/** The type in which a subspace's basis and images are kept. */
export const factorType = "f16" satisfies DType;

/** Element type, rows and columns of a matrix of a stored type in the bundle. */
export function shapeOf(source: PlainSource): ElementType & Pick<MatrixRef, "out" | "d"> {
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

/** A matrix's element type for people: `bf16`, `bf16 in 12 bits`, `5 bits/32`. */
export function typeText(source: WeightSource): string {
  return "quantizer" in source ? quantizerText(source.quantizer) : elementText(shapeOf(source));
}

/** The type of a matrix's elements for people, and how many bits they take where these are fewer than the type's. */
export function elementText({ dtype, coded, ordered }: ElementType): string {
  if (ordered) return `${dtype} in act-order`;
  return coded === undefined ? dtype : `${dtype} in 12 bits`;
}
