/**
 * Every type that passes between two stages, and nothing else. Plain read-only data, discriminated on `kind`;
 * this file imports nothing. Shapes are [rows, columns] = [out, d]; sizes are bytes; times are seconds.
 */

// ---------------------------------------------------------------------------------------------- weights

/** An element type as a model file stores it. The GGUF block types are named as in that format. */
export type DType =
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
}

/** A vector (bias, gain) as a view of a stored tensor; always widened to f32. */
export interface VectorRef {
  readonly tensor: string;
  readonly length: number;
  readonly first: number;
  /** Added to every element, as Gemma needs, which stores its gains less 1. Absent: nothing. */
  readonly plus?: number;
}

// ------------------------------------------------------------------------------------------------ graph

/** Names one value of the graph: the `id` of the node that computes it. Every value is [tokens, width] f32. */
export type ValueId = string;

export type ActivationFunction = "gelu" | "gelu_tanh" | "silu" | "relu";

/** How rotary frequencies are derived; the kinds are those of Hugging Face's `rope_parameters`, and `divisors`. */
export type RopeScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  /** One divisor per pair of channels, as the tensor `rope_freqs.weight` of GGUF files holds. */
  | { readonly kind: "divisors"; readonly divisors: readonly number[] }
  /** One divisor per pair of channels; what turns is also multiplied by `attentionFactor`. */
  | { readonly kind: "longrope"; readonly divisors: readonly number[]; readonly attentionFactor: number }
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalContext: number;
    };

export type EmbeddingNode = {
  readonly kind: "embedding";
  readonly id: ValueId;
  /** Which number selects the row: the token id, or its position. */
  readonly index: "token" | "position";
  readonly table: MatrixRef;
  /** Added to the index before the look-up (OPT's positions start at 2). */
  readonly offset: number;
  /** Factor of the row (Gemma: the square root of the hidden size). */
  readonly scale: number;
};

export type NormNode = {
  readonly kind: "norm";
  readonly id: ValueId;
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
export type LinearNode = {
  readonly kind: "linear";
  readonly id: ValueId;
  readonly input: ValueId;
  readonly weight: MatrixRef;
  readonly bias: VectorRef | null;
};

/** Rotary position embedding of `heads` vectors of `headDim`; the first `rotaryDim` channels turn. */
export type RopeNode = {
  readonly kind: "rope";
  readonly id: ValueId;
  readonly input: ValueId;
  readonly heads: number;
  readonly headDim: number;
  readonly rotaryDim: number;
  /** `half` turns channels (i, i + rotaryDim / 2) together, `adjacent` turns (2i, 2i + 1). */
  readonly pairing: "half" | "adjacent";
  readonly theta: number;
  readonly scaling: RopeScaling;
};

/** Causal attention with a KV cache; `heads / kvHeads` query heads read one key-value head. */
export type AttentionNode = {
  readonly kind: "attention";
  readonly id: ValueId;
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
};

export type ActivationNode = {
  readonly kind: "activation";
  readonly id: ValueId;
  readonly input: ValueId;
  readonly function: ActivationFunction;
};

/** Element-wise `left + right` or `left * right`. */
export type BinaryNode = {
  readonly kind: "add" | "multiply";
  readonly id: ValueId;
  readonly left: ValueId;
  readonly right: ValueId;
};

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

// ------------------------------------------------------------------------------------------- statistics

/** Statistics of one distinct linear input over the calibration tokens. */
export interface InputStats {
  readonly d: number;
  /** Tokens counted. */
  readonly count: number;
  /** Mean of x, [d]. */
  readonly mean: Float32Array;
  /** Mean of ||x||^2. */
  readonly meanSquaredNorm: number;
  /**
   * C = E[x x^T], uncentred: the exact [d, d], or a Nystrom sketch C ~= Y (Omega^T Y)^-1 Y^T with Y = C Omega in [d, l],
   * Omega being made from a seed (runtime/tools/sketch.h).
   */
  readonly secondMoment:
    | { readonly kind: "exact"; readonly matrix: Float32Array }
    | {
        readonly kind: "sketch";
        readonly width: number;
        readonly seed: number;
        readonly product: Float32Array;
      };
}

/** Where calibration tokens came from. */
export type CalibrationOrigin =
  | { readonly kind: "text"; readonly files: readonly string[] }
  | { readonly kind: "sampled"; readonly seed: number; readonly temperature: number }
  | { readonly kind: "file"; readonly file: string };

// ------------------------------------------------------------------------------------------------- plan

/** How a matrix is kept at few bits; `QuantizedMatrix` in layout/quantizer.ts has the formula. */
export interface Quantizer {
  readonly bits: 3 | 4 | 5 | 6 | 8;
  /** Elements along d that share a scale. */
  readonly group: 32 | 64 | 128;
  /** True: the zero point is 2^(bits - 1); false: each group has its own. */
  readonly symmetric: boolean;
}

/** The gate of rho = ||x - V g|| / ||x||, with g = V^T x and V of `k` columns: closed where rho < epsilon. */
export interface SubspaceGate {
  readonly k: number;
  readonly epsilon: number;
}

/**
 * The gate of a predicted output error: closed where ||S x|| < threshold ||x||. S [projections, d] are random
 * projections of the error E of the path that is taken then: E||S x||^2 = ||E x||^2.
 */
export interface ErrorGate {
  readonly projections: number;
  readonly threshold: number;
}

/** y = Q x + A (B^T x): Q is W at few bits, A B^T of `rank` k carries what Q loses where activations live. */
export interface Tier {
  readonly quantizer: Quantizer;
  /** A multiple of 4; 0: no correction. */
  readonly rank: number;
  /** The exact tier, y = W x, and the gate that it lies behind. */
  readonly exact: ErrorGate | null;
}

/** How a linear is computed; compiler/README.md has the table. */
export type Form =
  | { readonly kind: "dense" }
  /** rho < epsilon: y = M g with g = V^T x; else y = W x. V is shared per input. */
  | ({ readonly kind: "gated" } & SubspaceGate)
  /** y = Q x + A (B^T x), or y = W x where the error's gate is open. B and S are shared per input. */
  | ({ readonly kind: "tiered" } & Tier)
  /** rho < epsilon: y = M g; else as `tiered`. */
  | ({ readonly kind: "gated+tiered" } & SubspaceGate & Tier);

/** Bytes of weights that one token makes a linear read; what linears share counts at the first that reads it. */
export interface ByteAccount {
  readonly dense: number;
  /** In the form's cheapest tier: all gates closed. */
  readonly fast: number;
  /** In the tier between two gates, where the form has two. */
  readonly middle?: number;
  /** In the form's dearest tier: all gates open, with what was read to decide. */
  readonly slow: number;
}

/** What was decided for one linear, and why. */
export interface LinearPlan {
  readonly linear: ValueId;
  readonly form: Form;
  readonly bytes: ByteAccount;
  /** One sentence for people: why this form. */
  readonly verdict: string;
}

/** Linears that read the same value; `sharing` in ir/forms.ts tells what they share. */
export interface InputGroup {
  readonly input: ValueId;
  readonly linears: readonly ValueId[];
}

/** A graph with every linear decided. */
export interface Plan {
  readonly graph: Graph;
  readonly linears: ReadonlyMap<ValueId, LinearPlan>;
  readonly groups: readonly InputGroup[];
}

// --------------------------------------------------------------------------------------------- lowering

/** A matrix of a stored element type in the bundle: the model's weights, or a factor that the compiler made. */
export type PlainSource =
  | { readonly kind: "stored"; readonly matrix: MatrixRef }
  /** V^T, [k, d], of the linears that read `input`. */
  | { readonly kind: "basis"; readonly input: ValueId; readonly k: number; readonly d: number }
  /** M = W V, [out, k], of one linear. */
  | { readonly kind: "image"; readonly linear: ValueId; readonly out: number; readonly k: number }
  /** The rows of several matrices of one type and width, one after another; all but the last in whole tiles. */
  | { readonly kind: "stacked"; readonly parts: readonly PlainSource[] };

/** What the tiers of one input's linears are made from, together. */
export interface TierRecipe {
  readonly input: ValueId;
  readonly linears: readonly ValueId[];
  /** By linear. */
  readonly quantizers: readonly Quantizer[];
  /** Columns of B. */
  readonly rank: number;
  /** Rows of S; 0 without an exact tier. */
  readonly projections: number;
}

/** A matrix [out, d] at few bits, packed together with a low-rank factor [out, rank] where `rank` is not 0. */
export type QuantizedSource = {
  readonly out: number;
  readonly d: number;
  readonly quantizer: Quantizer;
  readonly rank: number;
  readonly recipe: TierRecipe;
} & (
  | { readonly kind: "quantized"; readonly linear: ValueId }
  /** B^T. */
  | { readonly kind: "correction" }
  /** S. */
  | { readonly kind: "projections" }
);

export type WeightSource = PlainSource | QuantizedSource;

/** A run of output rows of one projection: one linear, or gate and up of a gated MLP taken together. */
export interface ProjectionPart {
  readonly linear: ValueId;
  readonly weight: PlainSource;
  /** Of the tier behind the subspace gate. */
  readonly image: PlainSource | null;
  /** Q and A of the tier at few bits. */
  readonly quantized: QuantizedSource | null;
  readonly bias: VectorRef | null;
  /** First column of the output value that this part writes. */
  readonly column: number;
}

/** One step of the token program before it becomes a launch. Values are buffers of [16, width] f32. */
export type Step =
  | {
      readonly kind: "embed";
      readonly output: ValueId;
      readonly width: number;
      readonly tables: readonly EmbeddingNode[];
    }
  | {
      readonly kind: "norm";
      readonly output: ValueId;
      readonly width: number;
      readonly node: NormNode;
      /** Added to the normalised value. */
      readonly residual: ValueId | null;
    }
  /** g = V^T x. */
  | {
      readonly kind: "basis";
      readonly output: ValueId;
      readonly input: ValueId;
      readonly k: number;
      readonly d: number;
    }
  /** y = f(W x + b) + residual, for all linears that read `input`; gated where `gate` is set. */
  | {
      readonly kind: "project";
      readonly output: ValueId;
      readonly input: ValueId;
      readonly d: number;
      readonly width: number;
      readonly parts: readonly ProjectionPart[];
      readonly activation: ActivationFunction | null;
      /** True: parts are [gate, up], and y = f(gate) * up. */
      readonly gatedUnit: boolean;
      readonly residual: ValueId | null;
      readonly gate: (SubspaceGate & { readonly coordinates: ValueId }) | null;
      /** B^T, which quantised parts of a rank share. */
      readonly correction: QuantizedSource | null;
      /** The gate of the exact tier, behind `gate` where there are both. */
      readonly exact: (ErrorGate & { readonly source: QuantizedSource }) | null;
      /** True in the first step that reads the input: it counts tokens per tier. */
      readonly counts: boolean;
      /** True for the output head, which only runs for columns whose logits are wanted. */
      readonly head: boolean;
    }
  /** Normalises and turns the heads of query and key, and appends key and value to the cache of `layer`. */
  | {
      readonly kind: "cache";
      readonly layer: number;
      readonly source: ValueId;
      readonly sourceWidth: number;
      readonly queryColumn: number;
      readonly keyColumn: number;
      readonly valueColumn: number;
      readonly attention: AttentionNode;
      /** RMS norms of their heads, before these are turned. */
      readonly norms: { readonly query: NormNode; readonly key: NormNode } | null;
      readonly rope: RopeNode | null;
    }
  | {
      readonly kind: "attend";
      readonly layer: number;
      readonly output: ValueId;
      readonly source: ValueId;
      readonly sourceWidth: number;
      readonly queryColumn: number;
      readonly attention: AttentionNode;
    };

/** The parts of a step that a GPU fuses further, since a launch costs more there than reading a value again. */
type StepOf<Kind extends Step["kind"]> = Extract<Step, { kind: Kind }>;

/** What gates and corrections multiply an input by; at least one is there. */
export interface InputFactors {
  readonly correction: QuantizedSource | null;
  readonly basis: PlainSource | null;
  readonly projections: QuantizedSource | null;
}

/** The products with them: B^T x, V^T x, S x; and, where a gate decides, ||x||^2. */
interface GivenFactors {
  readonly output: ValueId;
  readonly squares: ValueId | null;
}

/** A step that normalises its `input` on the way in, unless `norm` is null; `normed` names the result, which no buffer holds. */
interface Normed {
  readonly input: ValueId;
  readonly norm: NormNode | null;
  readonly normed: ValueId;
}

/** One step of the token program on a GPU: `Step` with norms and the cache's update inside the launches that need them. */
export type DeviceStep =
  | StepOf<"embed">
  | StepOf<"norm">
  /** The products with an input's factors, side by side in `output`; `squares` receives ||x||^2 of each column, [16] f64. */
  | ({ readonly kind: "factors"; readonly d: number; readonly factors: InputFactors } & Normed & GivenFactors)
  /** `given` is what an earlier launch computed; null without factors, and where every workgroup computes for itself. */
  | (StepOf<"project"> & Normed & { readonly given: GivenFactors | null })
  /** Normalises and turns the heads of query and key, appends key and value to the cache, and attends. */
  | {
      readonly kind: "attend";
      readonly layer: number;
      readonly output: ValueId;
      readonly source: ValueId;
      readonly sourceWidth: number;
      readonly queryColumn: number;
      readonly keyColumn: number;
      readonly valueColumn: number;
      readonly attention: AttentionNode;
      readonly norms: { readonly query: NormNode; readonly key: NormNode } | null;
      readonly rope: RopeNode | null;
    }
  /** The id of the largest logit of each column: [16] i32. */
  | {
      readonly kind: "choose";
      readonly input: ValueId;
      readonly output: ValueId;
      readonly vocabulary: number;
    };

// -------------------------------------------------------------------------------------- kernels, program

/** How a GPU kernel is launched: min(most, perUnit x compute units) workgroups of `threads` lanes; any number from 1 gives the same result. */
export interface LaunchShape {
  readonly threads: number;
  /** Bytes of static LDS (shared memory) of a workgroup. */
  readonly lds: number;
  /** Workgroups that find work when a pass is full. */
  readonly most: number;
  /** Workgroups that a compute unit holds at once. */
  readonly perUnit: number;
}

/** An emitted kernel: one function, specialised to one shape, shared by the launches that have that shape. */
export interface Kernel {
  /** The C symbol; unique in the bundle. */
  readonly symbol: string;
  /** The template that it came from, without extension. */
  readonly template: string;
  /** The maths in one line, as printed at the top of the source. */
  readonly summary: string;
  /** Arguments in order, by name. */
  readonly arguments: readonly KernelArgument[];
  /** Null on CPUs, where all workers share every launch. */
  readonly launch: LaunchShape | null;
  readonly source: string;
}

export interface KernelArgument {
  readonly name: string;
  /** C type of what the pointer leads to. */
  readonly type: string;
}

/** Memory that the runtime lays out before the first launch. */
export type BufferKind =
  /** Read-only: the bundle's weights section. */
  | "weights"
  /** Activations of a session. */
  | "arena"
  /** Key-value cache of a session. */
  | "cache"
  /** The `gsic_step` of a session: what changes from one pass to the next. */
  | "step"
  /** Tokens per tier, u64, of a session. */
  | "counters";

/** A place in a buffer, as a launch argument. */
export interface Argument {
  readonly buffer: BufferKind;
  readonly offset: number;
}

export interface Launch {
  /** Index into `Manifest.kernels`. */
  readonly kernel: number;
  readonly arguments: readonly Argument[];
}

/** Where a linear's input can be read after launch `after` of the body: [16, stride] f32 in the arena. */
export interface Tap {
  readonly value: ValueId;
  readonly after: number;
  readonly offset: number;
  readonly width: number;
  readonly stride: number;
}

/** A linear as one call of a host computes it: y = W x + b, in its form. */
export interface CallableLinear {
  /** Its id in the graph. */
  readonly name: string;
  /** The tensor of the source model that holds W; `first` is its first output row there. */
  readonly tensor: string;
  readonly first: number;
  readonly out: number;
  /** Its first column in the call's output. */
  readonly column: number;
  readonly bias: boolean;
}

/** A block of the arena: [16, stride] f32, of which `width` are used. */
export interface Block {
  readonly offset: number;
  readonly width: number;
  readonly stride: number;
}

/**
 * Linears that read one value, for hosts that run the rest of a model themselves: `launches` compute them alone, without
 * the norm, activation and residual that a pass fuses with them, by the matrices that a pass multiplies by.
 */
export interface LinearCall {
  readonly input: ValueId;
  readonly linears: readonly CallableLinear[];
  /** Where the caller leaves x. */
  readonly x: Block;
  /** Where the launches leave y: the linears' outputs side by side. */
  readonly y: Block;
  readonly launches: readonly Launch[];
}

/** One pass over 1 to 16 tokens. The head runs only where logits are wanted. */
export interface Program {
  readonly body: readonly Launch[];
  readonly head: readonly Launch[];
  /** Byte offset of the logits, [16, stride] f32, in the arena. */
  readonly logits: { readonly offset: number; readonly stride: number };
  readonly taps: readonly Tap[];
  /** Every linear once; empty in programs that no build publishes. */
  readonly linears: readonly LinearCall[];
  /**
   * Where the head's last launch leaves the arg-max of each wanted column, [16] i32 in the arena: the lowest id among
   * equals, -1 where a logit is not finite. Null where no kernel chooses (CPUs).
   */
  readonly greedy: { readonly offset: number } | null;
  /** The gates that `counters` counts: two u64 each (closed, open), in this order; `gateName` in ir/forms.ts. */
  readonly tiers: readonly string[];
}

/** A mode that has a program of its own. */
export type ProgramMode = "exact" | "bounded";

/** How a build may be run. `lossless` has no program: `bounded` proposes tokens, and `exact` decides. */
export type Mode = ProgramMode | "lossless";

/** What runs kernels: this machine's CPU, or a GPU through AMD's or NVIDIA's driver. */
export type DeviceKind = "cpu" | "hip" | "cuda";

/** What the runtime needs to know; the JSON section `manifest` of a .gsi file. */
export interface Manifest {
  readonly format: 1;
  /** Version of the kernel interface in `templates/include/gsic/abi.h`. */
  readonly abi: 1;
  readonly name: string;
  readonly family: string;
  readonly vocabulary: number;
  readonly context: number;
  /** Most tokens in one pass. */
  readonly columns: 16;
  /** Bytes of each session buffer, and of the weights. */
  readonly buffers: Readonly<Record<BufferKind, number>>;
  /** Code objects, best first: the runtime takes the first whose features the machine has. */
  readonly targets: readonly {
    readonly name: string;
    readonly device: DeviceKind;
    /** CPUs: as `uname -m` names it, or `any`. GPUs: gfx942, sm_90. */
    readonly architecture: string;
    readonly features: readonly string[];
    readonly section: string;
    /** GPUs: each kernel's code object in the section. Null where the section is one shared object. */
    readonly code: readonly { readonly offset: number; readonly bytes: number }[] | null;
  }[];
  readonly kernels: readonly Pick<Kernel, "symbol" | "arguments" | "launch">[];
  /** Names of programs; of a build, `Mode`s. */
  readonly modes: readonly string[];
  readonly defaultMode: string;
  /** Modes without a program: one program proposes tokens, another decides which of them stand. */
  readonly drafting: Readonly<Record<string, { readonly draft: string; readonly verify: string }>>;
  readonly programs: Readonly<Record<string, Program>>;
  /** Bytes of weights that one token reads, by mode with a program; `bounded` with every gate closed. */
  readonly bytesPerToken: Readonly<Record<string, number>>;
}
