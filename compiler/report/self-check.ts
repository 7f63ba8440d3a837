import type { ProgramMode } from "../ir/program.js";

/** Weights that the kernels of one mode read in a simulated run, beside what the plan says. */
export interface WeightReads {
  /** Bytes a launch, of the kernels that multiply by matrices. */
  readonly kernels: readonly {
    readonly symbol: string;
    readonly launches: number;
    readonly predicted_bytes: number;
    readonly simulated_bytes: number;
  }[];
  /** Bytes of the whole run. */
  readonly predicted_bytes: number;
  readonly simulated_bytes: number;
  /** Simulated over predicted. */
  readonly ratio: number;
}

/** How far a build's logits are from the oracle's. */
export interface SelfCheck {
  readonly tokens: number;
  /** What computed the logits: the CPU, or the GPU's kernels, compiled for the CPU and run lane by lane. */
  readonly computed_by: "cpu" | "simulation";
  /** Largest absolute difference of a logit in exact mode, as a fraction of the largest logit. */
  readonly exactError: number | null;
  /** The same distance of another mode from the oracle; not a defect, since that mode approximates. */
  readonly otherError: number | null;
  /** What the other mode's logits were compared with: the oracle of the plan, every linear in its form. */
  readonly forms: FormsCheck | null;
  /** Weights that simulated kernels read, by mode; null on CPUs. */
  readonly weight_reads: Readonly<Partial<Record<ProgramMode, WeightReads>>> | null;
  /** How many of the first layers were compared, between embeddings and output head; all, unless the model is large. */
  readonly layers: { readonly compared: number; readonly of: number };
  /** Kernels that only other layers launch: not compared. */
  readonly kernels_not_compared: readonly string[];
  /** Of a model that was not compared as a whole: tiles, of every matrix some, that hold the stored weights. */
  readonly tiles_compared: number;
  /** Why nothing was compared, if nothing was. */
  readonly skipped: string | null;
}

/** How far another mode is from what its plan says, every linear in its form. */
export interface FormsCheck {
  /** The first tokens, before one with a gate so near its threshold that rounding may decide it. */
  readonly tokens: number;
  /** Largest absolute difference of a logit of those, as a fraction of the largest; null without tokens. */
  readonly error: number | null;
  /** Matrices at few bits that the bundle holds byte by byte as they were made. */
  readonly matrices: number;
}
