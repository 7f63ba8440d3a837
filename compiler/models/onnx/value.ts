import type { ActivationFunction, RopeScaling } from "../../ir/graph.js";
import type { OnnxTensor } from "../../read/onnx-tensor.js";

/**
 * What the values of an ONNX graph are when it is read for a short text: numbers, where they depend on shapes, positions
 * and constants alone; else how they follow from values [tokens, width] of the model, the bases.
 */
export type Value = Data | Stored | Rows | Ids | Symbolic | Stat | Scores | Unknown;

/** Numbers. Truth values are 0 and 1. */
export interface Data {
  readonly kind: "data";
  readonly shape: readonly number[];
  readonly values: Float64Array;
  /** Whole numbers or truth values: a quotient of two has no fraction. */
  readonly whole: boolean;
}

/** An initializer whose elements were not needed so far. */
export interface Stored {
  readonly kind: "stored";
  readonly tensor: OnnxTensor;
  readonly shape: readonly number[];
  /** A matrix whose dimensions are those of the tensor, exchanged. */
  readonly transposed: boolean;
  /** Added to every element. */
  readonly plus: number;
}

/** Rows of a stored matrix at known places, such as embeddings of positions. */
export interface Rows {
  readonly kind: "rows";
  readonly table: Stored;
  readonly places: Data;
  readonly shape: readonly number[];
}

/** The token ids. */
export interface Ids {
  readonly kind: "ids";
  readonly shape: readonly number[];
}

/** Each element is a function of a sum of elements of one base, each with a factor. */
export interface Symbolic {
  readonly kind: "symbol";
  readonly shape: readonly number[];
  readonly base: Base;
  readonly terms: readonly Term[];
  /** Null: the sum itself. */
  readonly fn: ((x: number) => number) | null;
}

/** A part of the sums that a symbol's elements are. */
export interface Term {
  /** For each element the element of the base, token * width + channel; null: the same place. */
  readonly index: Int32Array | null;
  /** One for all elements, or one for each. */
  readonly factor: number | Float64Array;
}

/** A function of the mean, or of the mean square, of vectors: what a norm divides by. Its last dimension is 1. */
export interface Stat {
  readonly kind: "stat";
  readonly shape: readonly number[];
  readonly of: Symbolic;
  readonly method: "mean" | "meanSquare";
  readonly fn: (x: number) => number;
}

/** Products of queries and keys [..., tokens, tokens], before or after the softmax over keys. */
export interface Scores {
  readonly kind: "scores";
  readonly shape: readonly number[];
  /** [..., tokens, headDim] */
  readonly query: Symbolic;
  readonly key: Symbolic;
  readonly scale: number;
  /** What is added, of the shape of the scores; null: nothing. */
  readonly mask: Float64Array | null;
  readonly masks: readonly MaskSource[];
  readonly normal: boolean;
}

/** The name of a value in the ONNX graph that masks scores: by being added, or by being true or false where they count. */
export interface MaskSource {
  readonly name: string;
  readonly counts: boolean | null;
}

/** What a node computes that was not understood. */
interface Unknown {
  readonly kind: "unknown";
  readonly shape: readonly number[];
}

/** A vector of a tensor. */
export interface Vector {
  readonly tensor: OnnxTensor;
  readonly first: number;
  readonly length: number;
  readonly plus: number;
}

/** A value [tokens, width] of the model, and how it is computed. */
export type Base = { readonly width: number } & (
  | {
      readonly op: "embedding";
      readonly index: "token" | "position";
      readonly table: Stored;
      readonly offset: number;
      readonly scale: number;
    }
  | {
      readonly op: "norm";
      readonly method: "layer" | "rms";
      readonly input: Base;
      readonly heads: number;
      readonly gain: Vector | null;
      readonly bias: Vector | null;
      readonly epsilon: number;
    }
  /** Vectors less their means: the first half of a layer norm. */
  | { readonly op: "centered"; readonly input: Base }
  | {
      readonly op: "linear";
      readonly input: Base;
      /** [d, out] or, transposed, [out, d]; rows from `first` on of those. */
      readonly weight: Stored;
      readonly first: number;
      readonly bias: Vector | null;
    }
  | {
      readonly op: "attention";
      readonly query: Heads;
      readonly key: Heads;
      readonly value: Heads;
      readonly scale: number;
      readonly window: number | null;
    }
  | { readonly op: "activation"; readonly input: Base; readonly function: ActivationFunction }
  | { readonly op: "add" | "multiply"; readonly left: Base; readonly right: Base }
);

/** What attention reads: `count` heads of `headDim` channels, rotated or not. */
export interface Heads {
  readonly base: Base;
  readonly count: number;
  readonly headDim: number;
  readonly rotation: Rotation | null;
}

/** A rotation of the first `rotaryDim` channels of heads, as `RopeNode` has it. */
export interface Rotation {
  readonly rotaryDim: number;
  readonly pairing: "half" | "adjacent";
  readonly theta: number;
  readonly scaling: RopeScaling;
}

/** Thrown where a node is not one that gsic has; the message ends the sentence "... was not understood: it". */
export class Unmatched extends Error {}

/** Elements of a shape. */
export const elementsOf = (shape: readonly number[]) =>
  shape.reduce((product, length) => product * length, 1);

/** Numbers of this shape. */
export function data(shape: readonly number[], values: Float64Array, whole: boolean): Data {
  return { kind: "data", shape, values, whole };
}

/** A base as a value of this shape. */
export function symbol(base: Base, shape: readonly number[]): Symbolic {
  return { kind: "symbol", base, shape, terms: [{ index: null, factor: 1 }], fn: null };
}
