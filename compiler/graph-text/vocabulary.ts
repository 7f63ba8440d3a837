/**
 * The vocabulary of a `graph.ts` that `gsic build` leaves, imported as `gsic/graph`: one call per node of the model.
 * Such a file is read statically and never run; the types are there so that an editor completes and checks what a
 * person changes. Shapes are [out, d]; every value is [tokens, width].
 */
import type { ActivationFunction, CacheType, DType, RopeScaling, RoundedType } from "../ir/graph.js";
import type { BitWidth, ByteAccount, ErrorGate, Form, QuantizedTier } from "../ir/plan.js";

export type { ActivationFunction, ByteAccount, CacheType, DType, Form, RopeScaling, RoundedType };

/** A value of the graph: what one call computes. */
export interface Value {
  /** The function that was called. */
  readonly operator: string;
  readonly inputs: readonly Value[];
  /** What was written besides the inputs. */
  readonly options: object;
}

/** What every call takes. */
export interface Named {
  /** The value's id, where the constant that holds it is not called the same. */
  readonly id?: string;
  /** The layer that the value is a part of, counted from 0. Default: the one that its id, `layer<number>_<part>`, names. */
  readonly layer?: number | "none";
}

/** A matrix [out, d] in the model's files. */
export interface Matrix extends MatrixOptions {
  readonly tensor: string;
  readonly dtype: DType;
  readonly shape: readonly [out: number, d: number];
}

/** Which part of its tensor a matrix is, and which way round the tensor is stored. */
export interface MatrixOptions {
  /** True where the file stores [d, out]. Default: false. */
  readonly transposed?: boolean;
  /** First output row, within a fused tensor. Default: 0. */
  readonly first?: number;
  /** Rare weights that a run of rows has room for, where each weight takes twelve bits; model.toml decides. Default: none. */
  readonly coded?: number;
  /** True where a quantised checkpoint orders inputs by their activations. Default: false. */
  readonly ordered?: boolean;
  /** A type of GGUF that its weights are rounded to, in all modes but exact. Default: none. */
  readonly rounded?: RoundedType;
}

/** A vector in the model's files. */
export interface Vector extends VectorOptions {
  readonly tensor: string;
  readonly length: number;
}

/** Which part of its tensor a vector is, and what is added to it. */
export interface VectorOptions {
  /** First element, within a fused tensor. Default: 0. */
  readonly first?: number;
  /** Added to every element. Default: nothing. */
  readonly plus?: number;
}

/** y = scale * table[index + offset]. */
export interface EmbeddingOptions extends Named {
  /** Added to the index before the look-up. Default: 0. */
  readonly offset?: number;
  /** Factor of the row. Default: 1. */
  readonly scale?: number;
}

/** What `layerNorm` and `rmsNorm` take: the input is `heads` vectors as long as `gain`, which all of them share. */
export interface NormOptions extends Named {
  /** How many vectors the input is, each normalised on its own. Default: 1. */
  readonly heads?: number;
  readonly gain: Vector;
  /** Default: none. */
  readonly bias?: Vector;
  readonly epsilon: number;
}

/** W and b of y = W x + b, and what the build said of the form. */
export interface LinearOptions extends Named {
  readonly weight: Matrix;
  /** Default: none. */
  readonly bias?: Vector;
  /** Bytes of weights that a token reads; one number where every token reads the same. For people: recomputed. */
  readonly bytes?: number | ByteAccount;
  /** Why this form. For people. */
  readonly verdict?: string;
}

/** Pair i of the rotated channels is rotated by position * theta^(-2 i / rotaryDim), the angle changed as `scaling` says. */
export interface RopeOptions extends Named {
  readonly heads: number;
  readonly headDim: number;
  /** How many channels of a head are rotated. Default: headDim. */
  readonly rotaryDim?: number;
  /** `half` rotates channels (i, i + rotaryDim / 2) together, `adjacent` rotates (2i, 2i + 1). */
  readonly pairing: "half" | "adjacent";
  readonly theta: number;
  /** Default: none. */
  readonly scaling?: RopeScaling;
}

/** softmax(scale * q k^T) v by head: queries are [tokens, heads * headDim], keys and values [tokens, kvHeads * headDim]. */
export interface AttentionOptions extends Named {
  readonly heads: number;
  /** Default: heads. */
  readonly kvHeads?: number;
  readonly headDim: number;
  /** Factor of the scores. Default: 1 / sqrt(headDim). */
  readonly scale?: number;
  /** How many positions a query sees, its own and those before it. Default: all. */
  readonly window?: number;
  /** How the cache keeps keys and values in bounded mode, on GPUs f32 or f16; exact mode keeps f32. Default: f32. */
  readonly cache?: CacheType;
}

/** What holds for the model as a whole, and where the graph came from. */
export interface ModelOptions {
  readonly name: string;
  /** The architecture's name in the Hugging Face config, such as `gpt2` or `llama`. */
  readonly family: string;
  /** Rows of the output. */
  readonly vocabulary: number;
  /** Longest sequence, in tokens. */
  readonly context: number;
  /** Path of model.toml, relative to this file. */
  readonly config: string;
  /** SHA-256 of the model that this graph was made from. */
  readonly fingerprint: string;
}

/** A model: its output is [tokens, vocabulary] logits. */
export interface Model extends ModelOptions {
  readonly output: Value;
}

/** y = W x + b, read in full for every token. */
export const dense: Form = { gate: null, tier: null };

/**
 * With g = V^T x (k columns) and rho = ||x - V g|| / ||x||: y = (W V) g where rho < epsilon, else y = W x.
 * 1 <= k < d; 0 < epsilon <= 1.
 */
export function gated(options: { readonly k: number; readonly epsilon: number }): Form {
  return { gate: options, tier: null };
}

/** Q, A, B and S of y = Q x + A (B^T x), or y = W x where ||S x|| >= threshold ||x||. */
export interface TierOptions {
  /** Of a weight, besides scales and zero points. */
  readonly bits: BitWidth;
  /** Elements that share a scale. */
  readonly group: 32 | 64 | 128;
  /** False: each group has a zero point of its own. Default: true. */
  readonly symmetric?: boolean;
  /** Columns of A and B, a multiple of 4. Default: 0, no correction. */
  readonly rank?: number;
  /** Default: there is no exact tier. */
  readonly exact?: ErrorGate;
}

/**
 * y = Q x + A (B^T x): Q is W at few bits, A B^T carries what Q loses where activations live; y = W x where
 * ||S x|| >= threshold ||x||, if there is an exact tier. Linears that read one value share B, S and the threshold.
 */
export function tiered(options: TierOptions): Form {
  return { gate: null, tier: tierFrom(options) };
}

/** As `gated` where rho < epsilon, else as `tiered`. */
export function gatedTiered(options: { readonly k: number; readonly epsilon: number } & TierOptions): Form {
  return { gate: { k: options.k, epsilon: options.epsilon }, tier: tierFrom(options) };
}

function tierFrom({ bits, group, symmetric = true, rank = 0, exact }: TierOptions): QuantizedTier {
  return { quantizer: { bits, group, symmetric }, rank, exact: exact ?? null };
}

/** A matrix [out, d] as a view of a tensor in the model's files. */
export function matrix(
  tensor: string,
  dtype: DType,
  shape: readonly [out: number, d: number],
  options: MatrixOptions = {},
): Matrix {
  return { tensor, dtype, shape, ...options };
}

/** A vector as a view of a tensor in the model's files. */
export function vector(tensor: string, length: number, options: VectorOptions = {}): Vector {
  return { tensor, length, ...options };
}

/** A row of the table per token, selected by its id or its position. */
export function embedding(index: "token" | "position", table: Matrix, options: EmbeddingOptions = {}): Value {
  return { operator: "embedding", inputs: [], options: { index, table, ...options } };
}

/** (x - mean) / sqrt(variance + epsilon) * gain + bias. */
export function layerNorm(input: Value, options: NormOptions): Value {
  return { operator: "layerNorm", inputs: [input], options };
}

/** x / sqrt(mean(x^2) + epsilon) * gain. */
export function rmsNorm(input: Value, options: NormOptions): Value {
  return { operator: "rmsNorm", inputs: [input], options };
}

/** y = W x + b, computed as `dense`, `gated`, `tiered` or `gatedTiered` says. Linears that read one value share one kind of form. */
export function linear(input: Value, form: Form, options: LinearOptions): Value {
  return { operator: "linear", inputs: [input], options: { form, ...options } };
}

/** Rotary position embedding of `heads` vectors of `headDim`. */
export function rope(input: Value, options: RopeOptions): Value {
  return { operator: "rope", inputs: [input], options };
}

/** Causal attention; `heads / kvHeads` query heads read one key-value head. */
export function attention(query: Value, key: Value, value: Value, options: AttentionOptions): Value {
  return { operator: "attention", inputs: [query, key, value], options };
}

/** The function, element by element. */
export function activation(input: Value, name: ActivationFunction, options: Named = {}): Value {
  return { operator: "activation", inputs: [input], options: { name, ...options } };
}

/** left + right, element by element. */
export function add(left: Value, right: Value, options: Named = {}): Value {
  return { operator: "add", inputs: [left, right], options };
}

/** left * right, element by element. */
export function multiply(left: Value, right: Value, options: Named = {}): Value {
  return { operator: "multiply", inputs: [left, right], options };
}

/** The model; the one default export of a graph.ts. */
export function model(options: ModelOptions, output: Value): Model {
  return { ...options, output };
}
