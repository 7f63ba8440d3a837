/**
 * A model as it is read: typed nodes over stored tensors. The files of this room hold every type that passes between two
 * stages, one stage a file, each importing only those before it: graph, statistics, plan, steps, program. Plain read-only
 * data, discriminated on `kind`. Shapes are [rows, columns] = [out, d]; sizes are bytes; times are seconds.
 */

/**
 * Types of which only quantised checkpoints have elements, in blocks along a row: a word, and the elements. Of integers,
 * the upper 19 bits of the word are a scale in f32 and the lower 13 a zero point: `i4` and `i4_128` have nibbles, in each 16
 * bytes elements 0 to 15 in the lower halves and 16 to 31 in the upper ones, w = scale (q - zero); `i8` has signed bytes,
 * w = scale (q + 128 - zero). Of `f8` and `f8_128`, FP8 E4M3, and of `nf4` and `fp4`, bitsandbytes' nibbles that stand for
 * numbers of a table, the word is a scale in f32, w = scale q. Files hold the same numbers otherwise; `Weights` makes the
 * blocks.
 */
export const checkpointTypes = ["i4", "i4_128", "i8", "f8", "f8_128", "nf4", "fp4"] as const;

/** One of `checkpointTypes`. */
export type CheckpointType = (typeof checkpointTypes)[number];

/** Whether a type is one of `checkpointTypes`. */
export function isCheckpointType(dtype: DType): dtype is CheckpointType {
  return checkpointTypes.some((type) => type === dtype);
}

/** An element type as a model file stores it, or as `Weights` reads it. The GGUF block types are named as in that format. */
export type DType =
  | CheckpointType
  | "f32"
  | "f16"
  | "bf16"
  | "q8_0"
  | "q4_0"
  | "q4_1"
  | "q5_0"
  | "q5_1"
  | "q4_k"
  | "q5_k"
  | "q6_k";

/** Elements and bytes of the smallest unit that a type is stored in. */
export interface BlockSize {
  readonly elements: number;
  readonly bytes: number;
}

/** The unit of each type; a block holds its scales and offsets, too. */
export const blockSizes: Readonly<Record<DType, BlockSize>> = {
  f32: { elements: 1, bytes: 4 },
  f16: { elements: 1, bytes: 2 },
  bf16: { elements: 1, bytes: 2 },
  q8_0: { elements: 32, bytes: 34 },
  q4_0: { elements: 32, bytes: 18 },
  q4_1: { elements: 32, bytes: 20 },
  q5_0: { elements: 32, bytes: 22 },
  q5_1: { elements: 32, bytes: 24 },
  q4_k: { elements: 256, bytes: 144 },
  q5_k: { elements: 256, bytes: 176 },
  q6_k: { elements: 256, bytes: 210 },
  i4: { elements: 32, bytes: 20 },
  i4_128: { elements: 128, bytes: 68 },
  i8: { elements: 32, bytes: 36 },
  f8: { elements: 32, bytes: 36 },
  f8_128: { elements: 128, bytes: 132 },
  nf4: { elements: 64, bytes: 36 },
  fp4: { elements: 64, bytes: 36 },
};

/** A tensor on disk: what a reader knows without touching its data. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  /** Outermost dimension first; the last one is contiguous. */
  readonly shape: readonly number[];
  /** Absolute path of the file that holds the data. */
  readonly file: string;
  /** Byte offset of the data in `file`. */
  readonly offset: number;
  readonly bytes: number;
  /** The type that the file has, where readers make `dtype` of it, exactly; `bytes` are those of `dtype`. */
  readonly widened?: "iq4_nl";
}

/** A matrix [out, d] as a view of a stored tensor: rows `first` to `first + out` of the (transposed) tensor. */
export interface MatrixRef {
  readonly tensor: string;
  readonly dtype: DType;
  readonly out: number;
  readonly d: number;
  /** True where the file stores [d, out], as GPT-2's Conv1D does. */
  readonly transposed: boolean;
  /** First output row of the view; non-zero for a part of a fused tensor such as GPT-2's c_attn. */
  readonly first: number;
  /**
   * Of bf16 in a CPU's bundle: each weight takes twelve bits, without loss, and this is how many rare ones a run of rows
   * has room for (layout/coded-tiles.ts). Absent: as many bits as the file has.
   */
  readonly coded?: number;
  /**
   * Of a quantised checkpoint whose groups of inputs are no runs (act-order): true where kernels have the columns group by
   * group, in an order that lies behind the matrix. What `Weights` gives as numbers has the inputs' own order.
   */
  readonly ordered?: boolean;
  /** Of a matrix that a plan keeps in a type of GGUF: which, and what it is rounded from (ir/rounded.ts). */
  readonly rounded?: { readonly type: RoundedType; readonly from: StoredView };
}

/** A type of GGUF that a matrix may be rounded to. */
export type RoundedType = Exclude<DType, CheckpointType | "f32"> | "iq4_nl";

/** Where the elements of a matrix lie in the model's files. */
export type StoredView = Pick<MatrixRef, "tensor" | "dtype" | "transposed" | "first" | "coded" | "ordered">;

/** How the elements of a matrix are kept. */
export type ElementType = Pick<MatrixRef, "dtype" | "coded" | "ordered">;

/** A vector (bias, gain) as a view of a stored tensor; always widened to f32. */
export interface VectorRef {
  readonly tensor: string;
  readonly length: number;
  readonly first: number;
  /** Added to every element, as Gemma needs, which stores its gains less 1. Absent: nothing. */
  readonly plus?: number;
}

/** Names one value of the graph: the `id` of the node that computes it. Every value is [tokens, width] f32. */
export type ValueId = string;

/** `gelu`: x (1 + erf(x / sqrt(2))) / 2; `gelu_tanh`: nearly that, by tanh; `silu`: x / (1 + e^-x); `relu`: max(0, x). */
export type ActivationFunction = "gelu" | "gelu_tanh" | "silu" | "relu";

/** How rotary frequencies are derived; the kinds are those of Hugging Face's `rope_parameters`, and `divisors`. */
export type RopeScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  /** One divisor per pair of channels, as the tensor `rope_freqs.weight` of GGUF files holds. */
  | { readonly kind: "divisors"; readonly divisors: readonly number[] }
  /** One divisor per pair of channels; what is rotated is also multiplied by `attentionFactor`. */
  | { readonly kind: "longrope"; readonly divisors: readonly number[]; readonly attentionFactor: number }
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalContext: number;
    };

/** What a node of any kind has. */
export interface Placed {
  readonly id: ValueId;
  /** The layer that it is a part of, counted from 0; null before, between and behind the layers. */
  readonly layer: number | null;
}

/** y = scale * table[index + offset], a row a token. */
export type EmbeddingNode = Placed & {
  readonly kind: "embedding";
  /** Which number selects the row: the token id, or its position. */
  readonly index: "token" | "position";
  readonly table: MatrixRef;
  /** Added to the index before the look-up (OPT's positions start at 2). */
  readonly offset: number;
  /** Factor of the row (Gemma: the square root of the hidden size). */
  readonly scale: number;
};

/** LayerNorm or RMSNorm of each vector of the input. */
export type NormNode = Placed & {
  readonly kind: "norm";
  readonly input: ValueId;
  /** `layer`: (x - mean) / sqrt(var + epsilon) * gain + bias. `rms`: x / sqrt(mean(x^2) + epsilon) * gain. */
  readonly method: "layer" | "rms";
  /** The input is this many vectors, each normalised on its own with the same gain: [heads, gain.length]. */
  readonly heads: number;
  readonly gain: VectorRef;
  readonly bias: VectorRef | null;
  readonly epsilon: number;
};

/** y = W x + b. */
export type LinearNode = Placed & {
  readonly kind: "linear";
  readonly input: ValueId;
  readonly weight: MatrixRef;
  readonly bias: VectorRef | null;
};

/** Rotary position embedding of `heads` vectors of `headDim`; the first `rotaryDim` channels are rotated. */
export type RopeNode = Placed & {
  readonly kind: "rope";
  readonly input: ValueId;
  readonly heads: number;
  readonly headDim: number;
  readonly rotaryDim: number;
  /** `half` rotates channels (i, i + rotaryDim / 2) together, `adjacent` rotates (2i, 2i + 1). */
  readonly pairing: "half" | "adjacent";
  readonly theta: number;
  readonly scaling: RopeScaling;
};

/**
 * How a KV cache keeps the keys and values of a layer: as they are; rounded to f16; or as integers of eight bits with a
 * scale f32 for each head and position, x ~ scale q.
 */
export const cacheTypes = ["f32", "f16", "int8"] as const;

/** One of `cacheTypes`. */
export type CacheType = (typeof cacheTypes)[number];

/** Causal attention with a KV cache; `heads / kvHeads` query heads read one key-value head. */
export type AttentionNode = Placed & {
  readonly kind: "attention";
  readonly query: ValueId;
  readonly key: ValueId;
  readonly value: ValueId;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Factor of the scores. */
  readonly scale: number;
  /** How many positions a query sees, its own and those before it; null: all. */
  readonly window: number | null;
  /** How the cache keeps this layer's keys and values; the model's own computation has f32. */
  readonly cache: CacheType;
};

/** y = function(x), element by element. */
type ActivationNode = Placed & {
  readonly kind: "activation";
  readonly input: ValueId;
  readonly function: ActivationFunction;
};

/** Element-wise `left + right` or `left * right`. */
export type BinaryNode = Placed & {
  readonly kind: "add" | "multiply";
  readonly left: ValueId;
  readonly right: ValueId;
};

/** One operation of a model; it reads values of nodes before it, and computes the value that its id names. */
export type Node =
  | EmbeddingNode
  | NormNode
  | LinearNode
  | RopeNode
  | AttentionNode
  | ActivationNode
  | BinaryNode;

/** A model as typed nodes in execution order; weights stay on disk. */
export interface Graph {
  readonly name: string;
  /** The architecture's name in the Hugging Face config, such as `gpt2` or `llama`. */
  readonly family: string;
  readonly vocabulary: number;
  /** Longest sequence, in tokens. */
  readonly context: number;
  readonly nodes: readonly Node[];
  /** The value that holds the logits: [tokens, vocabulary]. */
  readonly output: ValueId;
}
