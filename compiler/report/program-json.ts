import type { Kernel, LinearCall } from "../ir/program.js";

/** A launch for people: what it runs, and what each pointer refers to. */
export interface ListedLaunch {
  readonly kernel: string;
  /** The layer that it is a part of; null before and after the layers. */
  readonly layer: number | null;
  readonly arguments: readonly {
    readonly name: string;
    readonly type: string;
    readonly buffer: string;
    readonly offset: number;
    /** The tensor, the value or the part of the cache. */
    readonly refers_to: string;
    /** Bytes of a matrix, a vector, a table or a value; null for the rest. */
    readonly bytes: number | null;
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

/** What program.json holds: every launch of every mode, with the names of what it refers to. */
export interface ProgramJson {
  readonly kernels: readonly Pick<Kernel, "symbol" | "template" | "summary" | "launch">[];
  /** By mode that has a program. */
  readonly modes: Readonly<Record<string, Listing>>;
}
