import type { ProgramMode } from "../ir/program.js";
import type { LaunchTimes, LaunchTimesByMode } from "../report/launch-times.js";
import type { ListedPass } from "../report/program-json.js";
import type { LaunchMeasurements } from "./launches.js";
import type { StepMeasurements } from "./step.js";

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
