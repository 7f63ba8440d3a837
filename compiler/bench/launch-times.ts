import type { ProgramMode } from "../ir.js";
import type { ListedPass } from "../schedule/listing.js";
import type { LaunchMeasurements } from "./launches.js";
import type { StepMeasurements } from "./step.js";

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

/** Of a CPU, all modes that have a program. */
export function timesInStep({ target, device, modes }: StepMeasurements): LaunchTimesByMode {
  const times = Object.entries(modes).map(([mode, { launches }]) => [
    mode,
    { target, device, measured: "in the step", seconds: launches.map(({ seconds }) => seconds.median) },
  ]);
  return Object.fromEntries(times);
}

/** Of a GPU, the mode that was measured; `pass` is its program. */
export function timesAlone(
  { target, device, mode, launches }: LaunchMeasurements,
  { body, head }: ListedPass,
): LaunchTimesByMode {
  const byKernel = new Map(
    launches
      .filter(({ gate }) => gate !== "open")
      .map((one) => [one.kernel, (one.cold_seconds ?? one.cached_seconds).median]),
  );
  const seconds = [...body, ...head].map(({ kernel }) => byKernel.get(kernel)!);
  return { [mode]: { target, device, measured: "alone", seconds } };
}

/** The measured times of a mode; null where there are none. Reports of earlier versions say nothing. */
export function timesOfMode(
  times: LaunchTimesByMode | null | undefined,
  mode: ProgramMode,
): LaunchTimes | null {
  return times?.[mode] ?? null;
}
