/** Views of the tensors in a model's files, as a graph.ts says them. */

import { blockSizes, type DType, type MatrixRef, type VectorRef } from "../ir/graph.js";
import { choice, flag, integer, mapped, number, pair, positive, text } from "./codec.js";
import { argument, type FieldCodecs, optional } from "./codec-fields.js";
import { call } from "./codec-objects.js";
import type { Matrix, Vector } from "./vocabulary.js";

type WrittenMatrix = Omit<MatrixRef, "out" | "d"> & { readonly shape: readonly [out: number, d: number] };

/** The fields of `matrix(tensor, dtype, [out, d], { transposed, first, coded })`. */
export const matrixFields = {
  tensor: argument(0, text),
  dtype: argument(1, choice(Object.keys(blockSizes) as DType[])),
  shape: argument(2, pair(positive, ["out", "d"])),
  transposed: optional(flag, false),
  first: optional(integer(0), 0),
  coded: optional(integer(0), undefined),
} satisfies FieldCodecs<WrittenMatrix>;

/** A view of a stored matrix; its shape, one argument of the call, is kept as `out` and `d`. */
export const matrix = mapped(
  call<WrittenMatrix, Matrix>("matrix", matrixFields),
  ({ out, d, ...view }: MatrixRef): WrittenMatrix => ({ ...view, shape: [out, d] }),
  ({ tensor, dtype, shape: [out, d], ...options }) => ({ tensor, dtype, out, d, ...options }),
);

/** The fields of `vector(tensor, length, { first, plus })`. */
export const vectorFields = {
  tensor: argument(0, text),
  length: argument(1, positive),
  first: optional(integer(0), 0),
  plus: optional(number, undefined),
} satisfies FieldCodecs<VectorRef>;

/** A view of a stored vector. */
export const vector = call<VectorRef, Vector>("vector", vectorFields);
