import type { Built } from "../build-folder/open.js";
import type { ProgressListener } from "../cc/tool.js";
import type { ProgramMode } from "../ir/program.js";
import type { MeasuredRun, Spread } from "../report/measurements.js";
import { gateStates, measuredLaunch } from "./jobs.js";
import { type BenchOptions, promptsOf, runFromPrompts } from "./modes.js";

/** What `gsic-tool step` prints; see runtime/tools/step.cpp. */
interface ToolStep extends MeasuredRun {
  readonly modes: Readonly<
    Record<string, { readonly step_seconds: Spread; readonly launches: readonly Spread[] }>
  >;
}

/** A launch of a token's step on a CPU. */
export interface StepLaunch {
  readonly kernel: string;
  /** The layer whose values or cache it writes; null before and after the layers. */
  readonly layer: number | null;
  /** Bytes of weights that it reads; null for a look-up, and where a gate decides. */
  readonly weight_bytes: number | null;
  /** Where it stands among the others, without what reading the clock costs. */
  readonly seconds: Spread;
}

/** What `gsic bench --launches --json` prints for a CPU. */
export interface StepMeasurements extends Omit<ToolStep, "modes"> {
  readonly model: string;
  /** The modes that have a program: not `lossless`, which runs theirs. */
  readonly modes: Readonly<
    Partial<
      Record<
        ProgramMode,
        {
          /** Of the whole step, as it runs without clocks between its launches. */
          readonly step_seconds: Spread;
          /** In the order of the program. */
          readonly launches: readonly StepLaunch[];
        }
      >
    >
  >;
}

/** Measures every launch of a token's step on a CPU, in each mode that has a program, behind the prompts of `gsic bench`. */
export async function measureStep(
  built: Built,
  options: BenchOptions,
  progress?: ProgressListener,
): Promise<StepMeasurements> {
  const program = built.program;
  const templates = new Map(program.kernels.map(({ symbol, template }) => [symbol, template]));
  const ids = await promptsOf(built, options.repeat, options.prompt);
  const { modes, ...measured } = JSON.parse(
    await runFromPrompts("step", ids, built, options, progress),
  ) as ToolStep;
  const described = Object.entries(modes).map(([mode, { step_seconds, launches }]) => {
    const { body, head } = program.modes[mode as ProgramMode]!;
    const listed = [...body, ...head].map((launch, index): StepLaunch => {
      const gated = gateStates(launch).length > 1;
      return {
        kernel: launch.kernel,
        layer: launch.layer,
        weight_bytes: gated ? null : measuredLaunch(launch, templates.get(launch.kernel)!, null).weightBytes,
        seconds: launches[index]!,
      };
    });
    return [mode, { step_seconds, launches: listed }];
  });
  return { model: built.report.name, ...measured, modes: Object.fromEntries(described) };
}
