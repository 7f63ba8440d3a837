import type { ValueId } from "../ir/graph.js";
import type { Kernel, LinearCall } from "../ir/program.js";

/** A launch: what it runs, and what each pointer refers to. */
export interface ListedLaunch {
  readonly kernel: string;
  /** The layer that it is a part of; null before and after the layers. */
  readonly layer: number | null;
  /** It runs only in passes with a column at this position or behind; absent: in all. */
  readonly from?: number;
  /** True: in passes of one column it reads no step; absent: false. */
  readonly alone?: boolean;
  /** Names of the arguments that it reads, and of those that it writes; one that it updates is among both. */
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  readonly arguments: readonly {
    readonly name: string;
    readonly type: string;
    readonly buffer: string;
    readonly offset: number;
    /** The tensor, the value or the part of the cache, in words for people. */
    readonly refers_to: string;
    /** Bytes of a matrix, a vector, a table or a value; null for the rest. */
    readonly bytes: number | null;
    /** The value that it is, of the graph or between two launches; null of weights and the rest. */
    readonly value: ValueId | null;
    /** The linears whose rows a matrix holds, and for which of their tiers; null of what belongs to no linear alone. */
    readonly rows: {
      readonly tier: "image" | "quantized" | "weight";
      readonly linears: readonly ValueId[];
    } | null;
  }[];
}

/** The launches of a pass in order; `head` is what runs only where logits are wanted. */
export interface ListedPass {
  readonly body: readonly ListedLaunch[];
  readonly head: readonly ListedLaunch[];
}

/** A call of linears alone, with its launches for people. */
export type ListedCall = Omit<LinearCall, "launches"> & { readonly launches: readonly ListedLaunch[] };

/** One mode's launches: of a pass, and of each call of linears alone. */
export interface Listing extends ListedPass {
  readonly linears: readonly ListedCall[];
}

/** What program.json holds: every launch of every program, with the names of what it refers to. */
export interface ProgramJson {
  readonly kernels: readonly Pick<Kernel, "symbol" | "template" | "summary" | "launch">[];
  /** By mode that has a program, and `verifying` (ir/program.ts) where lossless mode has one of its own. */
  readonly modes: Readonly<Record<string, Listing>>;
}
