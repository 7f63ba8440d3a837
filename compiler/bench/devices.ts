import { type Built, modeOf } from "../build-folder/open.js";
import type { ProgressListener } from "../cc/tool.js";
import { programOf } from "../ir/modes.js";
import type { DeviceKind, Mode } from "../ir/program.js";
import type { LaunchTimesByMode } from "../report/launch-times.js";
import { timesAlone, timesInStep } from "./launch-times.js";
import { measureLaunches } from "./launches.js";
import { launchesText } from "./launches-text.js";
import type { BenchOptions } from "./modes.js";
import { measureStep } from "./step.js";
import { stepText } from "./step-text.js";

/** What `gsic bench --launches` found. */
interface MeasuredLaunches {
  /** What `--json` prints. */
  readonly json: object;
  /** What a terminal shows. */
  readonly text: string;
  readonly times: LaunchTimesByMode;
}

/** How a kind of device is measured. */
interface DeviceBench {
  /** Whether a build runs on a number of threads that can be chosen. */
  readonly hasThreads: boolean;
  /** Measures every launch of a token's step. */
  launches(
    built: Built,
    options: BenchOptions & { readonly mode?: Mode | undefined },
    progress: ProgressListener,
  ): Promise<MeasuredLaunches>;
}

/** In the step, in all modes; the text shows one. */
const cpuBench: DeviceBench = {
  hasThreads: true,
  async launches(built, options, progress) {
    const shown = programOf(modeOf(built, options.mode));
    const measured = await measureStep(built, options, progress);
    return { json: measured, text: stepText(measured, shown), times: timesInStep(measured) };
  },
};

/** Each alone, in one mode. */
const gpuBench: DeviceBench = {
  hasThreads: false,
  async launches(built, { mode, repeat }, progress) {
    const measured = await measureLaunches(built, { mode, repeat, progress });
    const times = timesAlone(measured, built.program.modes[measured.mode]!);
    return { json: measured, text: launchesText(measured), times };
  },
};

/** How each kind of device is measured. */
export const deviceBenches: Readonly<Record<DeviceKind, DeviceBench>> = {
  cpu: cpuBench,
  hip: gpuBench,
  cuda: gpuBench,
};
