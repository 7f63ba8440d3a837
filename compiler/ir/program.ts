/** What the runtime executes: kernels, launches, and the manifest of a bundle. */

import type { ValueId } from "./graph.js";

/** How a GPU kernel is launched: min(maxWorkgroups, perUnit x compute units) workgroups of `threads` lanes; any number from 1 gives the same result. */
export interface LaunchShape {
  readonly threads: number;
  /** Bytes of static LDS (shared memory) of a workgroup. */
  readonly lds: number;
  /** Workgroups that find work when a pass is full. */
  readonly maxWorkgroups: number;
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
  /** What its object is linked with; absent: nothing, the source is compiled with all that it includes. */
  readonly cores?: readonly Core[];
  /** For machines without a compiler; absent on GPUs. */
  readonly generic?: GenericShape;
}

/** What kernels that come compiled for all shapes (templates/generic) are told to compute the same as an emitted one. */
export interface GenericShape {
  readonly kind: "embed" | "norm" | "project" | "glu" | "cache" | "attend" | "screen" | "rescore";
  /** 32 bits each, in the order of templates/include/gsic/generic/shapes.h. */
  readonly words: readonly number[];
}

/** Code that kernels of every shape share: a source of its own, which instantiates a class of gsic/cores. */
export interface Core {
  /** What tells it from others, in messages. */
  readonly name: string;
  readonly source: string;
}

/** A pointer that a kernel is given. */
interface KernelArgument {
  readonly name: string;
  /** C type of what the pointer leads to. */
  readonly type: string;
}

/** Memory that the runtime lays out before the first launch. */
type BufferKind =
  /** Read-only: the bundle's weights section. */
  | "weights"
  /** Activations of a session. */
  | "arena"
  /** A block of a key-value cache. */
  | "cache"
  /** The `gsic_step` of a session: what changes from one pass to the next. */
  | "step"
  /** How often each gate was closed and open, u64, of a session. */
  | "counters";

/** A place in a buffer, as a launch argument. */
export interface Argument {
  readonly buffer: BufferKind;
  readonly offset: number;
  /** What the kernel may touch from there; the runtime refuses a place that the buffer does not have. */
  readonly bytes: number;
}

/** One run of a kernel, with a place for each of its arguments, in their order. */
export interface Launch {
  /** Index into `Manifest.kernels`. */
  readonly kernel: number;
  readonly arguments: readonly Argument[];
  /** It finds work only in passes with a column at this position or behind; absent: in all. */
  readonly from?: number;
  /** True: in passes of one column its step is null, which tells it so before it reads anything; absent: it reads the step. */
  readonly alone?: boolean;
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
interface Block {
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
  /**
   * In place of the head where only the largest logit is wanted: what may be it is exact, all else the least number.
   * Absent: the head is read whole.
   */
  readonly screened?: readonly Launch[];
  /** Byte offset of the logits, [16, stride] f32, in the arena. */
  readonly logits: { readonly offset: number; readonly stride: number };
  /** Bytes of a block of the KV cache that it reads and writes: a mode takes blocks of the most that its programs need. */
  readonly cacheBytes: number;
  readonly taps: readonly Tap[];
  /** Every linear once; empty in programs that no build publishes. */
  readonly linears: readonly LinearCall[];
  /**
   * Where the head's last launch leaves the choice of each wanted column, [16] `gsic_choice` of abi.h in the arena: the
   * arg-max, and the position and token that the device read. Null where no kernel chooses (CPUs).
   */
  readonly greedy: { readonly offset: number } | null;
  /** The gates that `counters` counts: two u64 each (closed, open), in this order; `gateName` in ir/forms.ts. */
  readonly gates: readonly string[];
}

/** A mode that has a program of its own. */
export type ProgramMode = "exact" | "bounded";

/**
 * The program by which lossless mode decides, where drafts read a cache that rounds: exact mode's, which also writes that
 * cache. It is no mode. Elsewhere exact mode's own decides.
 */
export const verifying = "verifying";

/** How a build may be run. `lossless` has no program: `bounded` proposes tokens, and `exact` or `verifying` decides. */
export type Mode = ProgramMode | "lossless";

/** What runs kernels: this machine's CPU, or a GPU through AMD's or NVIDIA's driver. */
export type DeviceKind = "cpu" | "hip" | "cuda";

/** What the runtime needs to know; the JSON section `manifest` of a .gsi file. */
export interface Manifest {
  readonly format: 2;
  /** Version of the kernel interface in `templates/include/gsic/abi.h`. */
  readonly abi: 2;
  readonly name: string;
  readonly family: string;
  readonly vocabulary: number;
  readonly context: number;
  /** Most tokens in one pass. */
  readonly columns: 16;
  /** Positions of a block of the KV cache. */
  readonly cacheBlock: number;
  /** Bytes that a position takes of the largest block of the cache, in all layers: `cacheBlock` of them fit into it. */
  readonly cacheBytesPerToken: number;
  /** Positions for which tables have rows, of angles and of embeddings: `context` goes no further. */
  readonly tablePositions: number;
  /** Bytes of the weights, of each session buffer, and of the largest block of the cache. */
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
  /** Modes without a program: that of another mode proposes tokens, and a program decides which of them stand. */
  readonly drafting: Readonly<Record<string, { readonly draft: string; readonly verify: string }>>;
  readonly programs: Readonly<Record<string, Program>>;
  /** Bytes of weights that one token reads, by mode with a program; `bounded` with every gate closed. */
  readonly bytesPerToken: Readonly<Record<string, number>>;
}
