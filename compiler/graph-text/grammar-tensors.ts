/** Views of the tensors in a model's files, as a graph.ts says them. */

import {
  blockSizes,
  type DType,
  isCheckpointType,
  type MatrixRef,
  type RoundedType,
  type StoredView,
  type VectorRef,
} from "../ir/graph.js";
import { originalMatrix, roundedMatrix } from "../ir/rounded.js";
import { choice, flag, integer, mapped, number, pair, positive, text } from "./codec.js";
import { argument, type FieldCodecs, optional } from "./codec-fields.js";
import { call } from "./codec-objects.js";
import type { Matrix, Vector } from "./vocabulary.js";

type WrittenMatrix = StoredView & {
  readonly shape: readonly [out: number, d: number];
  readonly rounded?: RoundedType;
};

const roundedTypes = [
  "iq4_nl",
  ...(Object.keys(blockSizes) as DType[]).filter((type) => type !== "f32" && !isCheckpointType(type)),
] as RoundedType[];

/** The fields of `matrix(tensor, dtype, [out, d], { transposed, first, coded, ordered, rounded })`. */
export const matrixFields = {
  tensor: argument(0, text),
  dtype: argument(1, choice(Object.keys(blockSizes) as DType[])),
  shape: argument(2, pair(positive, ["out", "d"])),
  transposed: optional(flag, false),
  first: optional(integer(0), 0),
  coded: optional(integer(0), undefined),
  ordered: optional(flag, undefined),
  rounded: optional(choice(roundedTypes), undefined),
} satisfies FieldCodecs<WrittenMatrix>;

/** A view of a stored matrix; its shape, one argument of the call, is kept as `out` and `d`. */
export const matrix = mapped(
  call<WrittenMatrix, Matrix>("matrix", matrixFields),
  (ref: MatrixRef): WrittenMatrix => {
    const { out, d, ...view } = originalMatrix(ref);
    const rounded = ref.rounded === undefined ? {} : { rounded: ref.rounded.type };
    return { ...view, shape: [out, d], ...rounded };
  },
  ({ tensor, dtype, shape: [out, d], rounded, ...options }) => {
    const stored = { tensor, dtype, out, d, ...options };
    return rounded === undefined ? stored : roundedMatrix(stored, rounded);
  },
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
