import { quantizerText } from "../ir/forms.js";
import type { VectorRef } from "../ir/graph.js";
import type { WeightSource } from "../ir/steps.js";

/** What a vector is called for people: its tensor, and the elements of it. */
export function vectorName({ tensor, first, length }: VectorRef): string {
  return first === 0 ? tensor : `${tensor} [${first}, ${first + length})`;
}

/** What a matrix is called for people, in program.json among others. */
export function matrixName(source: WeightSource): string {
  switch (source.kind) {
    case "stacked":
      return source.parts.map(matrixName).join(" + ");
    case "stored": {
      const { tensor, first, out } = source.matrix;
      return first === 0 ? tensor : `${tensor} rows [${first}, ${first + out})`;
    }
    case "basis":
      return `basis of ${source.input}, k = ${source.k}`;
    case "image":
      return `image of ${source.linear}, k = ${source.k}`;
    case "quantized":
      return `${source.linear} at ${quantizerText(source.quantizer)}, rank ${source.rank}`;
    case "correction":
      return `correction of ${source.recipe.input}, rank ${source.out}`;
    case "projections":
      return `error projections of ${source.recipe.input}, ${source.out}`;
    default:
      return source satisfies never;
  }
}
