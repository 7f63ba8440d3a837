import type { ProgramMode } from "../ir/program.js";

/** What the launches of a token's step were measured to take, for a build's report. */
export interface LaunchTimes {
  readonly target: string;
  /** What the device calls itself. */
  readonly device: string;
  /** Where they stand among the others (CPUs), or each alone with weights from memory and gates closed (GPUs). */
  readonly measured: "in the step" | "alone";
  /** Medians, in the order of the program: body, then head. */
  readonly seconds: readonly number[];
}

/** By mode; a report has those that were measured. */
export type LaunchTimesByMode = Readonly<Partial<Record<ProgramMode, LaunchTimes>>>;
